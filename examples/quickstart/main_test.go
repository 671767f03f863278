package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestQuickstart(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := quickstart(t.Context(), &out, "../../testdata/packages/http-check"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^loaded http-check \d+\.\d+\.\d+ \(\d+ bytes of Wasm\)$`,
		`the service is healthy\n  result    OK: `,
		`the service is failing\n  result    CRITICAL: .*503`,
		`(?m)^  network   http_request to 127\.0\.0\.1 port \d+ allowed$`,
		`(?m)^  network   http_request to 127\.0\.0\.1 port \d+ refused \(port_not_allowed; would allow it: allowed_ports: \[\d+\]\)$`,
		`(?m)^  usage     .* CPU, .* wall, .* waiting, .* memory, \d+ fuel, [1-9]\d* host calls$`,
		`(?m)^  ended     returned$`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("output does not match %s:\n%s", want, out.String())
		}
	}
}

func TestMissingPackage(t *testing.T) {
	t.Parallel()
	err := quickstart(t.Context(), &strings.Builder{}, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "plugin.yaml") {
		t.Errorf("err = %v", err)
	}
}
