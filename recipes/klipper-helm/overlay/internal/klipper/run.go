package klipper

import (
	"errors"
	"fmt"
	"io"
	"os"

	"helm.sh/helm/v3/pkg/release"
)

// What is done with a release whose installation or upgrade failed.
const (
	Reinstall = "reinstall"
	Abort     = "abort"
)

// Exit codes: done; helm or the cluster refused; the pod was given what it
// cannot be given.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// ErrAborted says that a failed release is left as it is.
var ErrAborted = errors.New("the failure policy is abort: somebody has to look at the release")

// Helm is what the steps need of helm.
type Helm interface {
	// Run executes one command line of helm.
	Run(args []string) error
	// Last is the newest revision of a release, nil where there is none.
	Last(namespace, name string) (*release.Release, error)
	// Save writes a changed revision back.
	Save(namespace string, revision *release.Release) error
}

// Step is one thing to do with a release.
type Step int

// Settle turns a revision whose pod died in the middle into a failed one: helm
// refuses to touch what looks as if somebody were still at it.
const (
	Install Step = iota
	Upgrade
	Uninstall
	Settle
)

// Steps chooses what brings a release from its status to an installed one;
// status is "" where there is no release. It fails with ErrAborted.
func Steps(status release.Status, policy string) ([]Step, error) {
	switch status {
	case "":
		return []Step{Install}, nil
	case release.StatusDeployed, release.StatusSuperseded:
		return []Step{Upgrade}, nil
	case release.StatusPendingUpgrade:
		// Cut short is not failed: the revision before it still stands, and a
		// reinstallation would throw away what the release keeps.
		return []Step{Settle, Upgrade}, nil
	case release.StatusUninstalled, release.StatusUninstalling:
		return []Step{Uninstall, Install}, nil
	}
	if policy == Abort {
		return nil, ErrAborted
	}
	return []Step{Uninstall, Install}, nil
}

// Main does the pod's work and returns its exit code; what happens goes to log.
func Main(pod Pod, helm Helm, log io.Writer) int {
	job, err := pod.Job()
	if err != nil {
		fmt.Fprintf(log, "klipper-helm: %v\n", err)
		return exitUsage
	}
	if hosts := pod.NoProxy(); hosts != "" {
		os.Setenv("NO_PROXY", hosts)
	}
	if err := job.do(helm, log); err != nil {
		fmt.Fprintf(log, "klipper-helm: %s/%s: %v\n", job.Namespace, job.Name, err)
		return exitFailed
	}
	return exitDone
}

func (j Job) do(helm Helm, log io.Writer) error {
	last, err := helm.Last(j.Namespace, j.Name)
	if err != nil {
		return fmt.Errorf("cannot read the release: %w", err)
	}
	var status release.Status
	if last != nil {
		status = last.Info.Status
		fmt.Fprintf(log, "klipper-helm: %s/%s: revision %d is %s\n", j.Namespace, j.Name, last.Version, status)
	}
	steps, err := j.steps(status)
	if err != nil {
		return fmt.Errorf("the release is %s, and %w", status, err)
	}
	for _, step := range steps {
		if err := j.take(step, helm, last, log); err != nil {
			return err
		}
	}
	return nil
}

func (j Job) steps(status release.Status) ([]Step, error) {
	switch {
	case !j.Delete:
		return Steps(status, j.Policy)
	case status == "":
		return nil, nil
	}
	return []Step{Uninstall}, nil
}

func (j Job) take(step Step, helm Helm, last *release.Release, log io.Writer) error {
	var args []string
	switch step {
	case Settle:
		fmt.Fprintf(log, "klipper-helm: %s/%s: its %s was cut short\n", j.Namespace, j.Name, last.Info.Status)
		last.SetStatus(release.StatusFailed, "cut short while it was "+string(last.Info.Status))
		return helm.Save(j.Namespace, last)
	case Uninstall:
		args = append([]string{"uninstall", j.Name, "--wait"}, j.Common...)
	case Install:
		args = append(append([]string{"install", j.Name, j.Chart}, j.Common...), j.Flags...)
	case Upgrade:
		args = append(append([]string{"upgrade", j.Name, j.Chart}, j.Common...), j.Flags...)
	}
	fmt.Fprintf(log, "klipper-helm: %s/%s: %s\n", j.Namespace, j.Name, args[0])
	return helm.Run(args)
}
