package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/dynamic-resource-allocation/kubeletplugin"
	"k8s.io/dynamic-resource-allocation/resourceslice"
	"k8s.io/klog/v2"
)

// fakeClaims is a driver of dynamic resource allocation (KEP-4381) whose GPUs do not exist: scheduler, controllers and kubelet
// handle its claims as they would real ones. It names no CDI device, so the container sees nothing of what it was given.
type fakeClaims struct {
	driver string
	node   string
	stop   context.CancelCauseFunc
}

func newFakeClaimsCommand() *cobra.Command {
	claims, count, kubeconfig, folder := &fakeClaims{driver: "gpu.example.com"}, 2, "", "/var/lib/kubelet"
	cmd := &cobra.Command{
		Use:   "fake-claim-driver",
		Short: "Offers GPUs that do not exist to resource claims",
		RunE:  func(*cobra.Command, []string) error { return claims.serve(count, kubeconfig, folder) },
	}
	cmd.Flags().StringVar(&claims.driver, "driver", claims.driver, "name of the driver, for the selectors of device classes")
	cmd.Flags().StringVar(&claims.node, "node", "", "the node that has the devices")
	cmd.Flags().IntVar(&count, "count", count, "how many devices")
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "the kubelet's own will do: a node may write its ResourceSlices")
	cmd.Flags().StringVar(&folder, "root-dir", folder, "the kubelet's folder")
	return cmd
}

func (f *fakeClaims) serve(count int, kubeconfig, folder string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	own := filepath.Join(folder, "plugins", f.driver)
	if err := os.MkdirAll(own, 0o750); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, f.stop = context.WithCancelCause(ctx)
	helper, err := kubeletplugin.Start(ctx, f,
		kubeletplugin.DriverName(f.driver), kubeletplugin.NodeName(f.node), kubeletplugin.KubeClient(client),
		kubeletplugin.RegistrarDirectoryPath(filepath.Join(folder, "plugins_registry")), kubeletplugin.PluginDataDirectoryPath(own))
	if err != nil {
		return fmt.Errorf("start driver: %w", err)
	}
	defer helper.Stop()
	pool := resourceslice.Pool{Slices: []resourceslice.Slice{{Devices: fakeDevices(count)}}}
	if err := helper.PublishResources(ctx, resourceslice.DriverResources{Pools: map[string]resourceslice.Pool{f.node: pool}}); err != nil {
		return fmt.Errorf("publish devices: %w", err)
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func fakeDevices(count int) []resourceapi.Device {
	model := "Fake 40G"
	devices := make([]resourceapi.Device, count)
	for i := range devices {
		devices[i] = resourceapi.Device{
			Name:       fmt.Sprintf("gpu-%d", i),
			Attributes: map[resourceapi.QualifiedName]resourceapi.DeviceAttribute{"productName": {StringValue: &model}},
			Capacity:   map[resourceapi.QualifiedName]resourceapi.DeviceCapacity{"memory": {Value: resource.MustParse("40Gi")}},
		}
	}
	return devices
}

// PrepareResourceClaims hands each claim the devices that the scheduler chose for it.
func (f *fakeClaims) PrepareResourceClaims(ctx context.Context, claims []*resourceapi.ResourceClaim) (map[types.UID]kubeletplugin.PrepareResult, error) {
	prepared := make(map[types.UID]kubeletplugin.PrepareResult, len(claims))
	for _, claim := range claims {
		var result kubeletplugin.PrepareResult
		for _, given := range claim.Status.Allocation.Devices.Results {
			if given.Driver == f.driver {
				result.Devices = append(result.Devices, kubeletplugin.Device{Requests: []string{given.Request}, PoolName: given.Pool, DeviceName: given.Device})
			}
		}
		klog.FromContext(ctx).Info("prepared", "claim", klog.KObj(claim), "devices", len(result.Devices))
		prepared[claim.UID] = result
	}
	return prepared, nil
}

// UnprepareResourceClaims has nothing to undo.
func (f *fakeClaims) UnprepareResourceClaims(ctx context.Context, claims []kubeletplugin.NamespacedObject) (map[types.UID]error, error) {
	given := make(map[types.UID]error, len(claims))
	for _, claim := range claims {
		klog.FromContext(ctx).Info("unprepared", "claim", claim)
		given[claim.UID] = nil
	}
	return given, nil
}

// HandleError ends the driver for what will not pass by itself.
func (f *fakeClaims) HandleError(ctx context.Context, err error, message string) {
	klog.FromContext(ctx).Error(err, message)
	if !errors.Is(err, kubeletplugin.ErrRecoverable) {
		f.stop(fmt.Errorf("%s: %w", message, err))
	}
}
