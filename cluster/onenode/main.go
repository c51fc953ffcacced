// Command onenode is every Kubernetes component of a one-node cluster in one binary.
//
// The name it is called by (argv[0]) chooses the component, so that one build, one cache entry and one file
// on disk serve etcd, the control plane, the kubelet, kube-proxy, kubectl, the fake GPU device plugin
// and the fake driver of resource claims.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	// Log format and client metrics register themselves, as in the components' own mains.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubectl":                 kubectlcmd.NewDefaultKubectlCommand,
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"fake-gpu-plugin":         newFakeGPUCommand,
	"fake-claim-driver":       newFakeClaimsCommand,
}

func main() {
	name := filepath.Base(os.Args[0])
	if name == "etcd" { // parses os.Args by itself and is no cobra command
		etcdmain.Main(os.Args)
		return
	}
	build, known := components[name]
	if !known {
		fmt.Fprintf(os.Stderr, "onenode: %q is no component; call it through a link named etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, kubelet, kubectl, fake-gpu-plugin or fake-claim-driver\n", name)
		os.Exit(2)
	}
	os.Exit(cli.Run(build()))
}
