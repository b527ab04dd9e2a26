package main

import (
	"slices"
	"strings"
)

// argument says whether an option takes one.
type argument int

const (
	none argument = iota
	required
	optional // also as the next word, if that is no option
)

// option is one that the command line may hold.
type option struct {
	short    byte     // 0 if it has only long names
	names    []string // the first is the one that messages use
	argument argument
	commands string // short names of the commands that take it
}

func (o *option) name() string { return o.names[0] }

// found is an option on the command line.
type found struct {
	option *option
	value  string
}

// scanner takes a command line apart as getopt_long does: short options may
// share a word, long ones may be cut as long as they stay distinct, and words
// that are no options may stand anywhere.
type scanner struct {
	options []*option
	words   []string // not yet seen
	found   []found
	others  []string // the words that are no options
}

func scan(options []*option, args []string) (*scanner, error) {
	s := &scanner{options: options, words: args}
	for len(s.words) > 0 {
		word := s.words[0]
		s.words = s.words[1:]
		var err error
		switch {
		case word == "--":
			s.others = append(s.others, s.words...)
			s.words = nil
		case strings.HasPrefix(word, "--"):
			err = s.long(word[2:])
		case len(word) > 1 && word[0] == '-':
			err = s.short(word[1:])
		default:
			s.others = append(s.others, word)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// long reads one long option, without its dashes.
func (s *scanner) long(word string) error {
	name, value, attached := strings.Cut(word, "=")
	o := s.byName(name)
	if o == nil || attached && o.argument == none {
		return badUsage("unknown option `--%s'", name)
	}
	return s.add(o, "--"+name, value, attached)
}

// short reads the short options that share a word, without the dash.
func (s *scanner) short(word string) error {
	for i := range len(word) {
		letter := word[i]
		at := slices.IndexFunc(s.options, func(o *option) bool { return o.short == letter })
		if at < 0 {
			return badUsage("unknown option `-%c'", letter)
		}
		o, rest := s.options[at], word[i+1:]
		if o.argument != none {
			return s.add(o, "-"+string(letter), rest, rest != "")
		}
		if err := s.add(o, "-"+string(letter), "", false); err != nil {
			return err
		}
	}
	return nil
}

// add notes an option, with the next word if that is its argument.
func (s *scanner) add(o *option, spelled, value string, attached bool) error {
	if o.argument != none && !attached {
		next := len(s.words) > 0
		if o.argument == optional {
			next = next && !strings.HasPrefix(s.words[0], "-")
		} else if !next {
			return badUsage("option `%s' requires an argument", spelled)
		}
		if next {
			value, s.words = s.words[0], s.words[1:]
		}
	}
	s.found = append(s.found, found{o, value})
	return nil
}

// byName finds the option of that long name, or the only one it is the beginning of.
func (s *scanner) byName(name string) *option {
	var match *option
	for _, o := range s.options {
		if slices.Contains(o.names, name) {
			return o
		}
		if slices.ContainsFunc(o.names, func(n string) bool { return strings.HasPrefix(n, name) }) {
			if match != nil {
				return nil
			}
			match = o
		}
	}
	return match
}
