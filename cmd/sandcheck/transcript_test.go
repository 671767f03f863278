package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTranscript takes a package from its author to a run on somebody else's
// machine, with the command as it is shipped.
func TestTranscript(t *testing.T) {
	t.Parallel()
	url := server(t)
	port := url[strings.LastIndex(url, ":")+1:]
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "http-check"), os.DirFS(shared("http-check"))); err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("capabilities: [http_request]\npermissions:\n  allowed_domains: [localhost]\n  allowed_networks: [127.0.0.1/32]\n  allowed_ports: [%s]\nlimits: {wall_ms: 5000}\n", port)
	if err := os.WriteFile(filepath.Join(dir, "site.yaml"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	config := `{"url":"` + strings.Replace(url, "127.0.0.1", "localhost", 1) + `/"}`
	for _, step := range []struct {
		line string
		code int
		want []string
	}{
		{"sandcheck keygen --id ops-2026 -o ops > trust.yaml", 0, nil},
		{"sandcheck validate http-check", 0, []string{"http-check is valid\n"}},
		{"sandcheck pack -o http-check.zip http-check", 0, []string{"packed http-check 1.0.0\n  file         http-check.zip\n"}},
		{"sandcheck verify --trust trust.yaml http-check.zip", 2, []string{"http-check 1.0.0 is not vouched for\n"}},
		{"sandcheck sign --key ops.key --id ops-2026 http-check.zip", 0, []string{"signed http-check 1.0.0\n  file         bundle-signature.json\n"}},
		{"sandcheck review --trust trust.yaml --grant site.yaml --approve approved.yaml http-check.zip", 0, []string{
			"http-check 1.0.0 would load\n", "\nvouched for\n  key          ops-2026\n  profile      bundle-v2\n", "\nrisks\n",
			"\nunder the grant\n", "\napproved\n  grant file   approved.yaml\n",
		}},
		{"sandcheck explain --grant approved.yaml --resolve 127.0.0.1 http://localhost:" + port + "/ http-check.zip", 0, []string{"allowed: http_request http://localhost:" + port + "\n"}},
		{"sandcheck verify --trust trust.yaml http-check.zip", 0, []string{"http-check 1.0.0 is vouched for\n", "  covered      config.schema.json, plugin.wasm, plugin.yaml\n"}},
		{"sandcheck run --trust trust.yaml --grant approved.yaml --format nagios --config " + config + " http-check.zip", 0, []string{"OK: "}},
		{"sandcheck run --grant approved.yaml --format nagios http-check.zip", 3, []string{"UNKNOWN: nobody vouches for the package"}},
	} {
		out, code := shell(t, dir, step.line)
		t.Logf("$ %s\n%s(exit code %d)\n", step.line, out, code)
		if code != step.code {
			t.Fatalf("%s: exit code %d, want %d", step.line, code, step.code)
		}
		wantIn(t, step.line, out, step.want...)
	}
}

// shell runs the words of a line in dir. Only "> FILE" at its end is more than a
// word.
func shell(t *testing.T, dir, line string) (out string, code int) {
	t.Helper()
	line, file, redirected := strings.Cut(line, " > ")
	words := strings.Fields(line)
	cmd := exec.Command(built, words[1:]...)
	cmd.Dir = dir
	var err error
	var text []byte
	if redirected {
		text, err = cmd.Output()
	} else {
		text, err = cmd.CombinedOutput()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if redirected {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
		text = nil
	}
	return string(text), cmd.ProcessState.ExitCode()
}
