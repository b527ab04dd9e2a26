package klipper

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/release"
)

// recorder stands for helm: it has one revision and notes what is asked of it.
type recorder struct {
	last  *release.Release
	calls []string
	fail  string
}

func (r *recorder) Run(args []string) error {
	r.calls = append(r.calls, args[0])
	if args[0] == r.fail {
		return errors.New("refused")
	}
	return nil
}

func (r *recorder) Last(string, string) (*release.Release, error) { return r.last, nil }

func (r *recorder) Save(_ string, revision *release.Release) error {
	r.calls = append(r.calls, "save "+string(revision.Info.Status))
	return nil
}

func with(status release.Status) *recorder {
	if status == "" {
		return &recorder{}
	}
	return &recorder{last: &release.Release{Info: &release.Info{Status: status}, Version: 3}}
}

func TestStepsOfEachStatus(t *testing.T) {
	reinstalled := []string{"uninstall", "install"}
	for _, one := range []struct {
		status release.Status
		policy string
		calls  []string
	}{
		{"", Abort, []string{"install"}},
		{release.StatusDeployed, Abort, []string{"upgrade"}},
		{release.StatusSuperseded, Reinstall, []string{"upgrade"}},
		{release.StatusPendingUpgrade, Abort, []string{"save failed", "upgrade"}},
		{release.StatusPendingInstall, Reinstall, reinstalled},
		{release.StatusPendingRollback, Reinstall, reinstalled},
		{release.StatusFailed, Reinstall, reinstalled},
		{release.StatusUnknown, Reinstall, reinstalled},
		{release.StatusUninstalled, Abort, reinstalled},
		{release.StatusUninstalling, Abort, reinstalled},
	} {
		helm, log := with(one.status), &bytes.Buffer{}
		pod := given(t, []string{"install"}, map[string]string{"FAILURE_POLICY": one.policy}, nil)
		if code := Main(pod, helm, log); code != exitDone || !slices.Equal(helm.calls, one.calls) {
			t.Errorf("%s, %s: code %d, %q\n%s", one.status, one.policy, code, helm.calls, log)
		}
	}
}

func TestAbortLeavesAFailedReleaseAlone(t *testing.T) {
	for _, status := range []release.Status{release.StatusFailed, release.StatusPendingInstall, release.StatusPendingRollback} {
		helm, log := with(status), &bytes.Buffer{}
		pod := given(t, []string{"install"}, map[string]string{"FAILURE_POLICY": Abort}, nil)
		code := Main(pod, helm, log)
		if code != exitFailed || len(helm.calls) > 0 || !strings.Contains(log.String(), "abort") {
			t.Errorf("%s: code %d, %q\n%s", status, code, helm.calls, log)
		}
	}
}

func TestDelete(t *testing.T) {
	for status, calls := range map[release.Status][]string{
		"":                           nil,
		release.StatusDeployed:       {"uninstall"},
		release.StatusPendingUpgrade: {"uninstall"},
		release.StatusUninstalling:   {"uninstall"},
	} {
		helm := with(status)
		code := Main(given(t, []string{"delete"}, nil, nil), helm, &bytes.Buffer{})
		if code != exitDone || !slices.Equal(helm.calls, calls) {
			t.Errorf("%s: code %d, %q", status, code, helm.calls)
		}
	}
}

func TestFailedUninstallIsNotFollowedByAnInstall(t *testing.T) {
	helm := with(release.StatusFailed)
	helm.fail = "uninstall"
	code := Main(given(t, []string{"install"}, nil, nil), helm, &bytes.Buffer{})
	if code != exitFailed || !slices.Equal(helm.calls, []string{"uninstall"}) {
		t.Errorf("code %d, %q", code, helm.calls)
	}
}
