package ctnetlink

import "strconv"

// states are the names of the states by their number in the kernel, for each
// of the protocols, by the number of its attribute below CTA_PROTOINFO.
var states = map[uint16][]string{
	1: { // TCP
		"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT",
		"LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2",
	},
	2: { // DCCP
		"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING",
		"TIMEWAIT", "IGNORE", "INVALID",
	},
	3: { // SCTP
		"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT",
		"SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED",
	},
}

var stateAttrs = map[uint8]uint16{ProtoTCP: 1, ProtoDCCP: 2, ProtoSCTP: 3}

// Protocols that the kernel tracks more of than addresses.
const (
	ProtoICMP    = 1
	ProtoTCP     = 6
	ProtoUDP     = 17
	ProtoDCCP    = 33
	ProtoGRE     = 47
	ProtoICMPv6  = 58
	ProtoSCTP    = 132
	ProtoUDPLite = 136
)

// ProtoNames are the names of those protocols.
var ProtoNames = map[uint8]string{
	ProtoICMP:    "icmp",
	ProtoTCP:     "tcp",
	ProtoUDP:     "udp",
	ProtoDCCP:    "dccp",
	ProtoGRE:     "gre",
	ProtoICMPv6:  "icmpv6",
	ProtoSCTP:    "sctp",
	ProtoUDPLite: "udplite",
}

// States are the names that the state of a protocol's flow may have; nil if it has none.
func States(proto uint8) []string { return states[stateAttrs[proto]] }

// HasPorts says whether a protocol's flows have port numbers.
func HasPorts(proto uint8) bool {
	switch proto {
	case ProtoTCP, ProtoUDP, ProtoDCCP, ProtoSCTP, ProtoUDPLite:
		return true
	}
	return false
}

// stateName is the state's name, or its number where a newer kernel has more of them.
func stateName(attr uint16, state uint8) string {
	if names := states[attr]; int(state) < len(names) {
		return names[state]
	}
	return strconv.Itoa(int(state))
}
