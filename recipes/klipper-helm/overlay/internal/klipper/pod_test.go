package klipper

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// given is a pod as the controller makes one: args, environment, files below root.
func given(t *testing.T, args []string, env map[string]string, files map[string]string) Pod {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"NAME": "shop", "TARGET_NAMESPACE": "apps", "CHART": "https://host/shop.tgz"}
	for name, value := range env {
		all[name] = value
	}
	return Pod{Args: args, Env: func(name string) string { return all[name] }, Root: root}
}

func job(t *testing.T, pod Pod) Job {
	t.Helper()
	job, err := pod.Job()
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func TestArgumentsOfTheControllerAreKept(t *testing.T) {
	args := []string{"install", "--namespace", "apps", "--set", "a=1"}
	got := job(t, given(t, args, map[string]string{"TIMEOUT": "1m0s"}, nil))
	if got.Delete || got.Chart != "https://host/shop.tgz" || !slices.Equal(got.Flags, args[1:]) {
		t.Errorf("%+v", got)
	}
	if want := []string{"--namespace", "apps", "--timeout", "1m0s"}; !slices.Equal(got.Common, want) {
		t.Errorf("common: %q", got.Common)
	}
}

func TestChartOfARepository(t *testing.T) {
	env := map[string]string{"CHART": "shop/web", "REPO": "https://repo", "AUTH_PASS_CREDENTIALS": "true", "PLAIN_HTTP": "false"}
	files := map[string]string{"auth/username": "me", "auth/password": "secret\n"}
	got := job(t, given(t, []string{"install"}, env, files))
	want := []string{"--repo", "https://repo", "--username=me", "--password=secret", "--pass-credentials"}
	if got.Chart != "web" || !slices.Equal(got.Flags, want) {
		t.Errorf("%+v", got)
	}
}

func TestValuesComeInTheirOrder(t *testing.T) {
	pod := given(t, []string{"install"}, nil, map[string]string{
		"config/values-1-000-HelmChartConfig-ValuesContent.yaml": "",
		"config/values-0-001-HelmChart-ValuesSecret.yaml":        "",
		"config/values-0-000-HelmChart-ValuesContent.yaml":       "",
		"config/.hidden/values-9.yaml":                           "",
	})
	var names []string
	for _, flag := range job(t, pod).Flags {
		if flag != "--values" {
			names = append(names, filepath.Base(flag)[:12])
		}
	}
	if want := []string{"values-0-000", "values-0-001", "values-1-000"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
}

func TestContentWinsOverTheChartsName(t *testing.T) {
	pod := given(t, []string{"install"}, nil, map[string]string{"chart/shop.tgz.base64": "Y2hh\ncnQ="})
	got := job(t, pod)
	text, err := os.ReadFile(got.Chart)
	if err != nil || string(text) != "chart" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestContentThatIsNoBase64(t *testing.T) {
	pod := given(t, []string{"install"}, nil, map[string]string{"chart/shop.tgz.base64": "Y2hhcn!"})
	if _, err := pod.Job(); err == nil || !strings.Contains(err.Error(), "cannot be decoded") {
		t.Errorf("%v", err)
	}
}

func TestChartOfTheClustersOwnAPI(t *testing.T) {
	env := map[string]string{
		"CHART":                   "https://%{KUBERNETES_API}%/static/charts/a.tgz",
		"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443",
	}
	files := map[string]string{
		"var/run/secrets/kubernetes.io/serviceaccount/ca.crt": "cluster",
		"config/ca-file.pem": "own",
		"ca-files/more.pem":  "more",
	}
	pod := given(t, []string{"install"}, env, files)
	got := job(t, pod)
	if got.Chart != "https://[fd00::1]:6443/static/charts/a.tgz" {
		t.Error(got.Chart)
	}
	text, err := os.ReadFile(got.Flags[slices.Index(got.Flags, "--ca-file")+1])
	if err != nil || string(text) != "own\nmore\ncluster\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestProxyIsNotAskedForTheAPI(t *testing.T) {
	env := map[string]string{"HTTPS_PROXY": "http://proxy", "NO_PROXY": ".svc", "KUBERNETES_SERVICE_HOST": "10.43.0.1"}
	if got := given(t, nil, env, nil).NoProxy(); got != ".svc,10.43.0.1" {
		t.Error(got)
	}
	delete(env, "HTTPS_PROXY")
	if got := given(t, nil, env, nil).NoProxy(); got != "" {
		t.Error(got)
	}
}

func TestWhatTheControllerNeverGives(t *testing.T) {
	for name, pod := range map[string]Pod{
		"no argument":    given(t, nil, nil, nil),
		"another verb":   given(t, []string{"rollback"}, nil, nil),
		"no name":        given(t, []string{"install"}, map[string]string{"NAME": ""}, nil),
		"helm v2":        given(t, []string{"install"}, map[string]string{"HELM_VERSION": "v2"}, nil),
		"another policy": given(t, []string{"install"}, map[string]string{"FAILURE_POLICY": "shrug"}, nil),
		"no chart":       given(t, []string{"install"}, map[string]string{"CHART": ""}, nil),
	} {
		if _, err := pod.Job(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
