package flannel

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// lease is what flannel got for this node, as it writes it to subnet.env.
type lease struct {
	networks []netip.Prefix // all pods of the cluster, IPv4 first
	subnets  []netip.Prefix // the pods of this node, IPv4 first
	mtu      uint64
	ipMasq   bool // flannel masquerades already
}

// readLease reads KEY=value lines. Keys of one family may be missing: a
// cluster is IPv4, IPv6 or both. A network may be a list of prefixes.
func readLease(path string) (*lease, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("flannel: no lease on this node: %w", err)
	}
	defer file.Close()

	values := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "="); ok {
			values[key] = value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("flannel: %s: %w", path, err)
	}
	l, err := newLease(values)
	if err != nil {
		return nil, fmt.Errorf("flannel: %s: %w", path, err)
	}
	return l, nil
}

func newLease(values map[string]string) (*lease, error) {
	l := &lease{}
	for _, family := range []string{"FLANNEL_", "FLANNEL_IPV6_"} {
		networks, err := prefixes(values, family+"NETWORK")
		if err != nil {
			return nil, err
		}
		subnets, err := prefixes(values, family+"SUBNET")
		if err != nil {
			return nil, err
		}
		if len(subnets) > 0 && len(networks) == 0 || len(subnets) == 0 && len(networks) > 0 {
			return nil, fmt.Errorf("%sNETWORK and %sSUBNET belong together, one is missing", family, family)
		}
		l.networks = append(l.networks, networks...)
		l.subnets = append(l.subnets, subnets...)
	}
	if len(l.subnets) == 0 {
		return nil, fmt.Errorf("neither FLANNEL_SUBNET nor FLANNEL_IPV6_SUBNET is set")
	}
	var err error
	if l.mtu, err = strconv.ParseUint(values["FLANNEL_MTU"], 10, 31); err != nil {
		return nil, fmt.Errorf("FLANNEL_MTU: %w", err)
	}
	if l.ipMasq, err = strconv.ParseBool(values["FLANNEL_IPMASQ"]); err != nil {
		return nil, fmt.Errorf("FLANNEL_IPMASQ: %w", err)
	}
	return l, nil
}

func prefixes(values map[string]string, key string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	if values[key] == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(values[key], ",") {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		// flannel writes the first usable address with the prefix length.
		list = append(list, prefix.Masked())
	}
	return list, nil
}
