package flannel

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// savedPath is where the configuration of a container lies. It is the place
// that flannel-io's plugin uses, so that either can delete what the other added.
func savedPath(dataDir, containerID string) string {
	return filepath.Join(dataDir, containerID)
}

// save writes a whole file or none, also across a power loss.
func save(dataDir, containerID string, conf []byte) error {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dataDir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(conf)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), savedPath(dataDir, containerID))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// load returns a configuration that names the plugin to call, or an error.
func load(dataDir, containerID string) (dict, error) {
	text, err := os.ReadFile(savedPath(dataDir, containerID))
	if err != nil {
		return nil, err
	}
	var conf dict
	if err := json.Unmarshal(text, &conf); err != nil {
		return nil, err
	}
	if kind, ok := conf["type"].(string); !ok || kind == "" {
		return nil, errors.New("no plugin type in " + savedPath(dataDir, containerID))
	}
	return conf, nil
}
