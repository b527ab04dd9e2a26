package main

import (
	"bufio"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/cmd/conntrack/internal/ctnetlink"
	"golang.org/x/sys/unix"
)

// protocolsFile names the protocols that the kernel tracks by address only.
const protocolsFile = "/etc/protocols"

// parseNumber reads a number of at most so many bits, decimal or with 0x.
func parseNumber(name, text string, bits int) (uint64, error) {
	number, err := strconv.ParseUint(text, 0, bits)
	if err != nil {
		return 0, badUsage("`%s' is no number that `--%s' takes", text, name)
	}
	return number, nil
}

func parseFamily(text string) (uint8, error) {
	switch text {
	case "ipv4":
		return unix.AF_INET, nil
	case "ipv6":
		return unix.AF_INET6, nil
	}
	return 0, badUsage("`%s' unsupported protocol", text)
}

// parseProtocol reads a name that this program, then one that the host knows, or a number.
func parseProtocol(text string) (uint8, error) {
	for number, name := range ctnetlink.ProtoNames {
		if strings.EqualFold(text, name) {
			return number, nil
		}
	}
	if number, err := strconv.ParseUint(text, 10, 8); err == nil {
		return uint8(number), nil
	}
	if number, known := lookUpProtocol(protocolsFile, text); known {
		return number, nil
	}
	return 0, badUsage("`%s' unsupported protocol", text)
}

// lookUpProtocol finds a name or an alias in a file like /etc/protocols.
func lookUpProtocol(path, name string) (uint8, bool) {
	file, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		for i, word := range words {
			if i == 1 || word != name {
				continue
			}
			number, err := strconv.ParseUint(words[min(1, len(words)-1)], 10, 8)
			return uint8(number), err == nil
		}
	}
	return 0, false
}

// parseAddress reads an address without a zone.
func parseAddress(text string) (netip.Addr, error) {
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return netip.Addr{}, badUsage("Invalid IP address `%s'", text)
	}
	return address, nil
}

// parseNetwork reads an address, with /bits or the mask of another option if there is one.
func parseNetwork(text, mask string) (network, error) {
	plain, bits, cidr := strings.Cut(text, "/")
	address, err := parseAddress(plain)
	if err != nil {
		return network{}, err
	}
	full := address.BitLen()
	length := uint64(full)
	if cidr {
		if length, err = strconv.ParseUint(bits, 10, 8); err != nil || length > uint64(full) {
			return network{}, badUsage("Invalid netmask")
		}
	}
	made := network{address.AsSlice(), prefixMask(int(length), full)}
	if mask != "" {
		own, err := parseAddress(mask)
		if err != nil {
			return network{}, err
		}
		if own.BitLen() != full {
			return network{}, errFamily
		}
		made.mask = own.AsSlice()
	}
	return made, nil
}

var errFamily = badUsage("mismatched address family")

// prefixMask is a mask of so many ones, as long as an address.
func prefixMask(ones, bits int) []byte {
	mask := make([]byte, bits/8)
	for i := range ones {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}

// parseWords reads words with commas between them. A word may be cut; case does not matter.
func parseWords[T any](text string, known []string, meaning []T) ([]T, error) {
	var all []T
	for _, word := range strings.Split(text, ",") {
		at := -1
		for i, name := range known {
			if word != "" && len(word) <= len(name) && strings.EqualFold(word, name[:len(word)]) {
				at = i
				break
			}
		}
		if at < 0 {
			return nil, badUsage("Bad parameter `%s'", word)
		}
		all = append(all, meaning[at])
	}
	return all, nil
}

func parseEvents(text string) (ctnetlink.Kind, error) {
	kinds, err := parseWords(text,
		[]string{"ALL", "NEW", "UPDATES", "DESTROY"},
		[]ctnetlink.Kind{ctnetlink.Every, ctnetlink.New, ctnetlink.Update, ctnetlink.Destroy})
	var mask ctnetlink.Kind
	for _, kind := range kinds {
		mask |= kind
	}
	return mask, err
}
