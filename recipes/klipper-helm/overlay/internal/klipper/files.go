package klipper

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// values is the flags for the values that the controller wrote; their names
// order them, the later ones win.
func (p Pod) values() []string {
	var flags []string
	for _, path := range matches(p.path("config", "values-*.yaml")) {
		flags = append(flags, "--values", path)
	}
	return flags
}

// content decodes a chart that the HelmChart object itself holds into a file
// below /tmp; "" where it holds none.
func (p Pod) content(name string) (string, error) {
	source, err := os.Open(p.path("chart", name+".tgz.base64"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer source.Close()
	path := p.path("tmp", name+".tgz")
	chart, err := os.Create(path)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(chart, base64.NewDecoder(base64.StdEncoding, source))
	if err = errors.Join(err, chart.Close()); err != nil {
		return "", fmt.Errorf("the chart's content cannot be decoded: %w", err)
	}
	return path, nil
}

// authorities joins the certificate authorities of the chart's repository into
// one file below /tmp; "" where none were given. The cluster's own is among them
// for a chart that its API serves.
func (p Pod) authorities() (string, error) {
	paths := append(matches(p.path("config", "ca-file.pem")), matches(p.path("ca-files", "*"))...)
	if p.asksAPI() {
		paths = append(paths, matches(p.path("var/run/secrets/kubernetes.io/serviceaccount/ca.crt"))...)
	}
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		all.Write(text)
		all.WriteString("\n")
	}
	if all.Len() == 0 {
		return "", nil
	}
	path := p.path("tmp", "ca-files.pem")
	return path, os.WriteFile(path, []byte(all.String()), 0o600)
}

// matches lists the files of a pattern by name. Kubelet keeps what it projects
// in hidden folders beside the files.
func matches(pattern string) []string {
	found, _ := filepath.Glob(pattern)
	sort.Strings(found)
	var files []string
	for _, path := range found {
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() && !strings.HasPrefix(filepath.Base(path), ".") {
			files = append(files, path)
		}
	}
	return files
}
