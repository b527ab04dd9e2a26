// A program in the layout of upstream's k3s: everything else is a tarball in its data.
package main

import (
	"embed"
	"os"
)

//go:embed embed/*
var files embed.FS

func main() {
	entries, err := files.ReadDir("embed")
	if err != nil {
		os.Exit(1)
	}
	for _, entry := range entries {
		data, _ := files.ReadFile("embed/" + entry.Name())
		println(entry.Name(), len(data))
	}
}
