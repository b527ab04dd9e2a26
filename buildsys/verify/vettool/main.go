// Names 64-bit atomics on fields that a 32-bit CPU finds at an odd place, in the packages that are
// its arguments. It says nothing for a GOARCH of 64 bits; a package that does not compile is named.
package main

import (
	"golang.org/x/tools/go/analysis/passes/atomicalign"
	"golang.org/x/tools/go/analysis/singlechecker"
)

func main() { singlechecker.Main(atomicalign.Analyzer) }
