// The YAML reader that k3s has, on many texts, for comparison. The values of each
// key as k3s makes flags of them; see pkg/configfilearg there.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"gopkg.in/yaml.v2"
)

type item struct {
	Key     string   `json:"key"`
	Appends bool     `json:"appends"`
	List    bool     `json:"list"`
	Null    bool     `json:"null"`
	Values  []string `json:"values"`
}

func text(value any) string {
	if list, ok := value.([]any); ok {
		if len(list) == 0 {
			return ""
		}
		value = list[0]
	}
	if value == nil {
		return ""
	}
	return strings.TrimSpace(fmt.Sprint(value))
}

func read(data []byte) any {
	content := yaml.MapSlice{}
	if err := yaml.Unmarshal(data, &content); err != nil {
		return map[string]string{"error": err.Error()}
	}
	items := []item{}
	for _, pair := range content {
		key := text(pair.Key)
		one := item{Key: strings.TrimSuffix(key, "+"), Appends: strings.HasSuffix(key, "+"), Values: []string{}}
		if list, ok := pair.Value.([]any); ok {
			one.List = true
			for _, value := range list {
				one.Values = append(one.Values, text(value))
			}
		} else {
			one.Null = pair.Value == nil
			one.Values = append(one.Values, text(pair.Value))
		}
		items = append(items, one)
	}
	return map[string]any{"items": items}
}

func main() {
	in, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		var size int
		if _, err := fmt.Fscanf(in, "%d\n", &size); err != nil {
			return
		}
		data := make([]byte, size)
		if _, err := io.ReadFull(in, data); err != nil {
			panic(err)
		}
		line, err := json.Marshal(read(data))
		if err != nil {
			panic(err)
		}
		out.Write(append(line, '\n'))
	}
}
