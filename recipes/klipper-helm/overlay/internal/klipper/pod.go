// Package klipper does the work of a pod that k3s's helm-controller starts for a
// HelmChart object: it reads what the pod was given, looks at the release, and
// calls helm. The contract is the Job in the controller's pkg/controllers/chart.
package klipper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// apiToken stands in a chart's URL for the address of the cluster's own API,
// which serves the charts that k3s brings along.
const apiToken = "%{KUBERNETES_API}%"

// Pod is what a pod was given. Root is "/", or another folder in tests.
type Pod struct {
	Args []string
	Env  func(string) string
	Root string
}

// FromProcess is the pod that this process runs in.
func FromProcess() Pod {
	return Pod{Args: os.Args[1:], Env: os.Getenv, Root: "/"}
}

// Job is what a pod has to do with the release Name in Namespace.
type Job struct {
	Name      string
	Namespace string
	Delete    bool
	Policy    string
	// Common goes with every command of helm, Flags with install and upgrade.
	Common []string
	Flags  []string
	Chart  string
}

// Job reads the pod. It fails for what the controller would never give, and for
// a chart or a CA file that cannot be read.
func (p Pod) Job() (Job, error) {
	job := Job{Name: p.Env("NAME"), Namespace: p.Env("TARGET_NAMESPACE"), Policy: p.policy()}
	if err := p.check(job); err != nil {
		return job, err
	}
	job.Common = []string{"--namespace", job.Namespace}
	if timeout := p.Env("TIMEOUT"); timeout != "" {
		job.Common = append(job.Common, "--timeout", timeout)
	}
	if p.Args[0] == "delete" {
		job.Delete = true
		return job, nil
	}
	return p.withChart(job)
}

func (p Pod) policy() string {
	if policy := strings.ToLower(p.Env("FAILURE_POLICY")); policy != "" {
		return policy
	}
	return Reinstall
}

func (p Pod) check(job Job) error {
	if len(p.Args) == 0 || !slices.Contains([]string{"install", "upgrade", "delete"}, p.Args[0]) {
		return fmt.Errorf("the first argument is install, upgrade or delete, not %q", p.Args)
	}
	if job.Name == "" || job.Namespace == "" {
		return errors.New("NAME and TARGET_NAMESPACE are not both set")
	}
	if version := p.Env("HELM_VERSION"); version != "" && version != "v3" {
		return fmt.Errorf("HELM_VERSION is %q: only charts of helm v3 can be installed", version)
	}
	if !slices.Contains([]string{Reinstall, Abort}, job.Policy) {
		return fmt.Errorf("FAILURE_POLICY is %q, which is neither %s nor %s", job.Policy, Reinstall, Abort)
	}
	return nil
}

// withChart adds where the chart comes from and with which values.
func (p Pod) withChart(job Job) (Job, error) {
	content, err := p.content(job.Name)
	if err != nil {
		return job, err
	}
	authorities, err := p.authorities()
	if err != nil {
		return job, err
	}
	job.Flags = append(job.Flags, p.Args[1:]...)
	job.Flags = append(job.Flags, p.values()...)
	if content != "" {
		job.Chart = content
		return job, nil
	}
	job.Chart = strings.ReplaceAll(p.Env("CHART"), apiToken, p.api())
	if job.Chart == "" {
		return job, errors.New("neither CHART is set, nor is the chart's content below /chart")
	}
	if repo := p.Env("REPO"); repo != "" {
		// The controller puts the name of a repository before the chart's.
		job.Chart = strings.TrimPrefix(job.Chart, job.Name+"/")
		job.Flags = append(job.Flags, "--repo", repo)
	}
	job.Flags = append(job.Flags, p.access()...)
	if authorities != "" {
		job.Flags = append(job.Flags, "--ca-file", authorities)
	}
	return job, nil
}

// access is the flags that say how a chart may be fetched.
func (p Pod) access() []string {
	var flags []string
	for _, name := range []string{"username", "password"} {
		if text, err := os.ReadFile(p.path("auth", name)); err == nil && len(text) > 0 {
			flags = append(flags, "--"+name+"="+strings.TrimRight(string(text), "\r\n"))
		}
	}
	for _, one := range [][2]string{
		{"AUTH_PASS_CREDENTIALS", "--pass-credentials"},
		{"INSECURE_SKIP_TLS_VERIFY", "--insecure-skip-tls-verify"},
		{"PLAIN_HTTP", "--plain-http"},
	} {
		if strings.EqualFold(p.Env(one[0]), "true") {
			flags = append(flags, one[1])
		}
	}
	return flags
}

// api is host:port of the cluster's API, as kubelet tells every pod.
func (p Pod) api() string {
	return net.JoinHostPort(p.Env("KUBERNETES_SERVICE_HOST"), p.Env("KUBERNETES_SERVICE_PORT"))
}

// asksAPI tells whether the chart is one that the cluster's API serves.
func (p Pod) asksAPI() bool {
	return strings.Contains(p.Env("CHART"), apiToken)
}

// NoProxy is the NO_PROXY that spares the cluster's API the proxy, or "" where
// there is no proxy.
func (p Pod) NoProxy() string {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		if p.Env(name) == "" && p.Env(strings.ToLower(name)) == "" {
			continue
		}
		var hosts []string
		for _, host := range []string{p.Env("NO_PROXY"), p.Env("no_proxy"), p.Env("KUBERNETES_SERVICE_HOST")} {
			if host != "" && !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
		return strings.Join(hosts, ",")
	}
	return ""
}

func (p Pod) path(parts ...string) string {
	return filepath.Join(append([]string{p.Root}, parts...)...)
}
