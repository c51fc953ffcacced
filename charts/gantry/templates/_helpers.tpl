{{/* The chart's name, at most 63 characters as labels and names allow. */}}
{{- define "gantry.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Name of this release's objects: `gantry` for a release of that name, else `<release>-gantry`. */}}
{{- define "gantry.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "gantry.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "gantry.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "gantry.selector" -}}
app.kubernetes.io/name: {{ include "gantry.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gantry.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "gantry.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "gantry.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "gantry.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Names of cluster-wide objects carry the namespace: two releases of one name may live in two namespaces. */}}
{{- define "gantry.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "gantry.fullname" .) }}
{{- end }}

{{/* The namespaces served, as JSON: the release's own when nothing else is said. */}}
{{- define "gantry.namespaces" -}}
{{- if and .Values.clusterWide .Values.watchNamespaces }}
{{- fail "clusterWide and watchNamespaces exclude each other: set clusterWide to false, or remove watchNamespaces" }}
{{- end }}
{{- if .Values.clusterWide }}[]{{ else }}{{ default (list .Release.Namespace) .Values.watchNamespaces | toJson }}{{ end }}
{{- end }}

{{/* Egress rules: to the Orthancs of the bridges, and to the name server. */}}
{{- define "gantry.egress" -}}
- to: {{- toYaml .Values.networkPolicy.orthanc.to | nindent 4 }}
  ports:
    {{- range .Values.networkPolicy.orthanc.ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
- to: {{- toYaml .Values.networkPolicy.dns.to | nindent 4 }}
  ports:
    {{- range .Values.networkPolicy.dns.ports }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}

{{/* What the operator may do, in each served namespace. operator/gantry/kube/permissions.py is the list a test compares it with. */}}
{{- define "gantry.rules" -}}
- apiGroups: [gantry.health]
  resources: [orthancbridges, inferencepipelines, inferencebackfills]
  verbs: [list, watch]
- apiGroups: [gantry.health]
  resources: [inferenceruns]
  verbs: [get, list, watch, create, delete]
- apiGroups: [gantry.health]
  resources: [orthancbridges/status, inferencepipelines/status, inferenceruns/status, inferencebackfills/status]
  verbs: [patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
  {{- with .Values.rbac.secretNames }}
  resourceNames: {{ toJson . }}
  {{- end }}
{{- if .Values.prePull.enabled }}
- apiGroups: [apps]
  resources: [daemonsets]
  verbs: [get, create, update, delete]
{{- end }}
{{- if .Values.resourceClaims.enabled }}
- apiGroups: [resource.k8s.io]
  resources: [resourceclaims, resourceclaimtemplates]
  verbs: [get]
{{- end }}
{{- if .Values.kueue.enabled }}
- apiGroups: [kueue.x-k8s.io]
  resources: [localqueues]
  verbs: [get]
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list]
{{- end }}
{{- end }}
