// Package flannel is the CNI plugin between k3s's flannel and the bridge
// plugin. It owns no interface: it reads the lease that flannel writes to
// subnet.env, completes the "delegate" configuration with it and calls that
// plugin.
//
// Configuration keys (all optional): subnetFile, dataDir, delegate, ipam.
// delegate may hold any key of the delegated plugin but "name" and "ipam",
// which come from here. What it leaves out is filled in: type (bridge),
// mtu (FLANNEL_MTU), ipMasq (only if flannel does not do it) and, for a
// bridge, isGateway.
package flannel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	bv "github.com/containernetworking/plugins/pkg/utils/buildversion"
)

// errPluginNotAvailable is the CNI specification's code 50: ADD cannot be served now.
const errPluginNotAvailable = 50

type dict = map[string]any

type config struct {
	types.PluginConf
	IPAM          dict   `json:"ipam"` // hides PluginConf's, which knows only the type
	SubnetFile    string `json:"subnetFile"`
	DataDir       string `json:"dataDir"`
	Delegate      dict   `json:"delegate"`
	RuntimeConfig dict   `json:"runtimeConfig"`
}

// Main serves one CNI call.
func Main() {
	skel.PluginMainFuncs(skel.CNIFuncs{
		Add: add, Del: del, Check: check, GC: gc, Status: status,
	}, version.All, bv.BuildString("flannel"))
}

func parse(stdin []byte) (*config, error) {
	c := &config{SubnetFile: "/run/flannel/subnet.env", DataDir: "/var/lib/cni/flannel"}
	if err := json.Unmarshal(stdin, c); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "flannel: network configuration", err.Error())
	}
	for _, key := range []string{"name", "ipam"} {
		if _, set := c.Delegate[key]; set {
			return nil, types.NewError(types.ErrInvalidNetworkConfig, "flannel: delegate must not set "+key, "")
		}
	}
	if kind, set := c.Delegate["type"]; set {
		if name, ok := kind.(string); !ok || name == "" {
			return nil, types.NewError(types.ErrInvalidNetworkConfig, "flannel: delegate.type must be a string", "")
		}
	}
	return c, nil
}

// render completes the delegate's configuration with the lease.
func (c *config) render(l *lease) (dict, error) {
	out := dict{"type": "bridge", "mtu": l.mtu, "ipMasq": !l.ipMasq}
	maps.Copy(out, c.Delegate)
	if _, set := out["isGateway"]; !set && out["type"] == "bridge" {
		out["isGateway"] = true
	}
	out["name"] = c.Name
	if c.CNIVersion != "" {
		out["cniVersion"] = c.CNIVersion
	}
	if c.RuntimeConfig != nil {
		out["runtimeConfig"] = c.RuntimeConfig
	}

	ipam := dict{"type": "host-local"}
	maps.Copy(ipam, c.IPAM)
	var routes []any
	if own, set := ipam["routes"]; set && own != nil {
		list, ok := own.([]any)
		if !ok {
			return nil, types.NewError(types.ErrInvalidNetworkConfig, "flannel: ipam.routes must be a list", "")
		}
		routes = slices.Clone(list)
	}
	for _, network := range l.networks {
		routes = append(routes, dict{"dst": network.String()})
	}
	ipam["routes"] = routes
	// One set of ranges per family: host-local hands out one address of each.
	var ranges []any
	for _, subnet := range l.subnets {
		ranges = append(ranges, []any{dict{"subnet": subnet.String()}})
	}
	ipam["ranges"] = ranges
	out["ipam"] = ipam
	return out, nil
}

func (c *config) renderFromFile() (dict, error) {
	l, err := readLease(c.SubnetFile)
	if err != nil {
		return nil, err
	}
	return c.render(l)
}

func add(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	delegate, err := c.renderFromFile()
	if err != nil {
		return err
	}
	conf, err := json.Marshal(delegate)
	if err != nil {
		return err
	}
	// Saved before the call: DEL must undo this very configuration, also
	// after an ADD that failed half way or a lease that has changed since.
	if err := save(c.DataDir, args.ContainerID, conf); err != nil {
		return fmt.Errorf("flannel: saving the delegate's configuration: %w", err)
	}
	result, err := invoke.DelegateAdd(context.Background(), delegate["type"].(string), conf, nil)
	if err != nil {
		return err
	}
	return result.Print()
}

// existing is the configuration a container was added with. A file that is
// missing or was cut short by a power loss is replaced by what ADD would use
// now; nil means that there is nothing left to go by.
func (c *config) existing(containerID string) dict {
	if saved, err := load(c.DataDir, containerID); err == nil {
		return saved
	}
	if rendered, err := c.renderFromFile(); err == nil {
		return rendered
	}
	return nil
}

func del(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	// The specification wants DEL to succeed when there is nothing to undo.
	if delegate := c.existing(args.ContainerID); delegate != nil {
		conf, err := json.Marshal(delegate)
		if err != nil {
			return err
		}
		if err := invoke.DelegateDel(context.Background(), delegate["type"].(string), conf, nil); err != nil {
			return err
		}
	}
	if err := os.Remove(savedPath(c.DataDir, args.ContainerID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func check(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	if c.RawPrevResult == nil {
		return types.NewError(types.ErrInvalidNetworkConfig, "flannel: CHECK needs prevResult", "")
	}
	delegate := c.existing(args.ContainerID)
	if delegate == nil {
		return types.NewError(types.ErrUnknownContainer, "flannel: container was never added", args.ContainerID)
	}
	delegate["prevResult"] = c.RawPrevResult
	if c.CNIVersion != "" {
		delegate["cniVersion"] = c.CNIVersion
	}
	conf, err := json.Marshal(delegate)
	if err != nil {
		return err
	}
	return invoke.DelegateCheck(context.Background(), delegate["type"].(string), conf, nil)
}

func status(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	delegate, err := c.renderFromFile()
	if err != nil {
		return types.NewError(errPluginNotAvailable, "flannel has no lease yet", err.Error())
	}
	conf, err := json.Marshal(delegate)
	if err != nil {
		return err
	}
	return invoke.DelegateStatus(context.Background(), delegate["type"].(string), conf, nil)
}

// gc passes the list of valid attachments on, then forgets this network's
// configurations of containers that are not on it.
func gc(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	var failed []error
	if delegate, err := c.renderFromFile(); err == nil {
		delegate["cni.dev/valid-attachments"] = c.ValidAttachments
		conf, err := json.Marshal(delegate)
		if err != nil {
			return err
		}
		failed = append(failed, invoke.DelegateGC(context.Background(), delegate["type"].(string), conf, nil))
	}
	valid := map[string]bool{}
	for _, attachment := range c.ValidAttachments {
		valid[attachment.ContainerID] = true
	}
	entries, err := os.ReadDir(c.DataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		failed = append(failed, err)
	}
	for _, entry := range entries {
		saved, err := load(c.DataDir, entry.Name())
		if err == nil && saved["name"] == c.Name && !valid[entry.Name()] {
			failed = append(failed, os.Remove(filepath.Join(c.DataDir, entry.Name())))
		}
	}
	return errors.Join(failed...)
}
