package main

import "slices"

// command is what the program is asked to do.
type command struct {
	option
	do func(*request, *streams) error
}

// The commands. An option names those that take it by their short names.
var commands = []*command{
	{option{short: 'L', names: []string{"dump"}}, list},
	{option{short: 'G', names: []string{"get"}}, get},
	{option{short: 'D', names: []string{"delete"}}, remove},
	{option{short: 'F', names: []string{"flush"}}, flush},
	{option{short: 'C', names: []string{"count"}}, count},
	{option{short: 'S', names: []string{"stats"}}, showStats},
	{option{short: 'E', names: []string{"event"}}, watch},
	{option{short: 'V', names: []string{"version"}}, showVersion},
	{option{short: 'h', names: []string{"help"}}, showHelp},
}

const filters = "LGDE"

// Options by what they are: a filter on the flow, on its protocol's own
// numbers (after --protonum only), or on how it is shown.
var (
	flowOptions = []*option{
		{'f', []string{"family"}, required, filters + "F"},
		{'p', []string{"protonum"}, required, filters},
		{'s', []string{"src", "orig-src"}, required, filters},
		{'d', []string{"dst", "orig-dst"}, required, filters},
		{'r', []string{"reply-src"}, required, filters},
		{'q', []string{"reply-dst"}, required, filters},
		{0, []string{"mask-src"}, required, filters},
		{0, []string{"mask-dst"}, required, filters},
		{'n', []string{"src-nat"}, optional, filters},
		{'g', []string{"dst-nat"}, optional, filters},
		{'j', []string{"any-nat"}, optional, filters},
		{'m', []string{"mark"}, required, filters},
		{'w', []string{"zone"}, required, filters},
		{0, []string{"orig-zone"}, required, filters},
		{0, []string{"reply-zone"}, required, filters},
		{'u', []string{"status"}, required, filters},
		{'l', []string{"label"}, required, filters},
	}
	protocolOptions = []*option{
		{0, []string{"sport", "orig-port-src"}, required, filters},
		{0, []string{"dport", "orig-port-dst"}, required, filters},
		{0, []string{"reply-port-src"}, required, filters},
		{0, []string{"reply-port-dst"}, required, filters},
		{0, []string{"state"}, required, filters},
		{0, []string{"icmp-type", "icmpv6-type"}, required, filters},
		{0, []string{"icmp-code", "icmpv6-code"}, required, filters},
		{0, []string{"icmp-id", "icmpv6-id"}, required, filters},
		{0, []string{"srckey", "orig-key-src"}, required, filters},
		{0, []string{"dstkey", "orig-key-dst"}, required, filters},
		{0, []string{"reply-key-src"}, required, filters},
		{0, []string{"reply-key-dst"}, required, filters},
	}
	showOptions = []*option{
		{'o', []string{"output"}, required, filters},
		{'z', []string{"zero"}, none, "L"},
		{'e', []string{"event-mask"}, required, "E"},
		{'b', []string{"buffer-size"}, required, "E"},
	}
)

// lacking are options of conntrack-tools that are refused by name.
var lacking = []*option{
	{'I', []string{"create"}, none, ""},
	{'A', []string{"add"}, none, ""},
	{'U', []string{"update"}, none, ""},
	{'R', []string{"load-file"}, required, ""},
	{'t', []string{"timeout"}, required, ""},
	{'c', []string{"secmark"}, required, ""},
	{'i', []string{"id"}, required, ""},
	{0, []string{"label-add"}, required, ""},
	{0, []string{"label-del"}, optional, ""},
	{0, []string{"tuple-src"}, required, ""},
	{0, []string{"tuple-dst"}, required, ""},
	{0, []string{"nat-range"}, required, ""},
}

func allOptions() []*option {
	all := slices.Concat(flowOptions, protocolOptions, showOptions, lacking)
	for _, c := range commands {
		all = append(all, &c.option)
	}
	return all
}
