package main

import (
	"testing"
)

func TestInspectText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		code int
		want []string
	}{
		{"http-check", 0, []string{
			"http-check 1.0.0 would load\n\npackage\n  name         HTTP check\n",
			"\n  digest       sha256:1640ecbfe0f9acd57a9a065172a8f66cd2a25211c1c49cebf7cd00f90cbae007\n",
			"\nrequests\n  capabilities get_config, log, submit_result, http_request\n  domains      localhost, *.example.com\n  networks     127.0.0.1/32\n  ports        80, 443, 1024-65535\n  memory       16 MiB\n  cpu time     1s\n  connections  1\n",
			"\n  env.http_request func(i32, i32, i32, i32) i32\n      the host's, by the capability \"http_request\"\n",
			"\n  wasi_snapshot_preview1.clock_time_get func(i32, i64, i32) i32\n      the host's\n",
			"\nexports\n  memory memory\n  _initialize func()\n  run_check func()\n",
			"\nmodule\n  initialised  _initialize\n  memory       8384 KiB at first, no maximum\n",
		}},
		{"unknown-imports", 0, []string{
			"unknown-imports 1.0.0 would load\n\nwarnings\n",
			"\n  env.moon_phase func(i64) i64\n      a stub that answers -4: this host does not offer it\n",
		}},
		{"import-memory", 3, []string{
			"import-memory 1.0.0 does not load\n\nproblems\n  import env.memory: ",
			"\n  env.memory memory 1\n      nothing: it keeps the package from loading\n",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := invoke(t, "inspect", shared(tt.name))
			got.wantCode(t, tt.code)
			wantIn(t, "stdout", got.out, tt.want...)
		})
	}
}

// TestInspectAllPackages agrees with run about what loads.
func TestInspectAllPackages(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{
		"alive": 0, "command": 0, "http-check": 0, "http-check-as": 0, "http-check-rust": 0, "import-memory": 3, "sdk-mimic": 0, "sdk-mimic-rust": 0,
		"small-config": 0, "start-submit": 0, "statsd": 0, "tcp-banner": 0, "udp-sender-as": 0, "unknown-imports": 0,
	} {
		got := invoke(t, "inspect", shared(name))
		got.wantCode(t, code)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}
