package main

import (
	"errors"
	"os"
	"path/filepath"

	"helm.sh/helm/v3/internal/klipper"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
)

// calledAsKlipper tells whether this program is called by its other name.
func calledAsKlipper() bool {
	return filepath.Base(os.Args[0]) == "klipper-helm"
}

// here is helm in this very process: a second one would need its memory again.
type here struct{}

func (here) Run(args []string) error {
	settings = cli.New()
	config := new(action.Configuration)
	command, err := newRootCmd(config, os.Stdout, args)
	if err != nil {
		return err
	}
	if err := initialize(config, settings.Namespace()); err != nil {
		return err
	}
	command.SetArgs(args)
	command.SilenceErrors = true
	return command.Execute()
}

func (here) Last(namespace, name string) (*release.Release, error) {
	config, err := configured(namespace)
	if err != nil {
		return nil, err
	}
	last, err := config.Releases.Last(name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	return last, err
}

func (here) Save(namespace string, revision *release.Release) error {
	config, err := configured(namespace)
	if err != nil {
		return err
	}
	return config.Releases.Update(revision)
}

func configured(namespace string) (*action.Configuration, error) {
	settings = cli.New()
	settings.SetNamespace(namespace)
	config := new(action.Configuration)
	return config, initialize(config, namespace)
}

func initialize(config *action.Configuration, namespace string) error {
	config.SetHookOutputFunc(hookOutputWriter)
	return config.Init(settings.RESTClientGetter(), namespace, os.Getenv("HELM_DRIVER"), debug)
}

func klipperMain() int {
	return klipper.Main(klipper.FromProcess(), here{}, os.Stderr)
}
