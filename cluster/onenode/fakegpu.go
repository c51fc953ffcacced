package main

import (
	"context"
	"fmt"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	deviceplugin "k8s.io/kubernetes/pkg/kubelet/cm/devicemanager/plugin/v1beta1"
)

// newFakeGPUCommand offers devices that do not exist, so that scheduler and kubelet count them as they would
// real ones. It registers again after a restart of the kubelet.
func newFakeGPUCommand() *cobra.Command {
	resource, count := "nvidia.com/gpu", 4
	cmd := &cobra.Command{
		Use:   "fake-gpu-plugin",
		Short: "Offers GPUs that do not exist to the kubelet",
		RunE:  func(*cobra.Command, []string) error { return serveFakeGPUs(resource, count) },
	}
	cmd.Flags().StringVar(&resource, "resource", resource, "the extended resource to offer")
	cmd.Flags().IntVar(&count, "count", count, "how many devices")
	return cmd
}

func serveFakeGPUs(resource string, count int) error {
	devices := make([]*pluginapi.Device, count)
	for i := range devices {
		devices[i] = &pluginapi.Device{ID: fmt.Sprintf("fake-%d", i), Health: pluginapi.Healthy}
	}
	plugin := deviceplugin.NewDevicePluginStub(devices, pluginapi.DevicePluginPath+"fake-gpu.sock", resource, false, false)
	plugin.SetAllocFunc(allocate)
	if err := plugin.Start(); err != nil {
		return fmt.Errorf("start device plugin: %w", err)
	}
	if err := plugin.Register(pluginapi.KubeletSocket, resource, pluginapi.DevicePluginPath); err != nil {
		return fmt.Errorf("register with the kubelet: %w", err)
	}
	go plugin.Watch(pluginapi.KubeletSocket, resource, pluginapi.DevicePluginPath)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	<-ctx.Done()
	return plugin.Stop()
}

// allocate tells each container which devices are its own, by the variable NVIDIA's plugin uses.
func allocate(request *pluginapi.AllocateRequest, _ map[string]*pluginapi.Device) (*pluginapi.AllocateResponse, error) {
	response := &pluginapi.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		visible := strings.Join(container.DevicesIds, ",")
		response.ContainerResponses = append(response.ContainerResponses,
			&pluginapi.ContainerAllocateResponse{Envs: map[string]string{"NVIDIA_VISIBLE_DEVICES": visible}})
	}
	return response, nil
}
