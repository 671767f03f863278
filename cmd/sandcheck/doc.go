// Sandcheck runs a monitoring check that somebody else wrote, as WebAssembly,
// and lets it reach only what you grant.
//
//	sandcheck run [--config JSON|@file] [--grant FILE | --grant-requested] [--unsigned]
//	              [--timeout D] [--memory N] [--format text|nagios|json] PACKAGE
//	sandcheck inspect [--format text|json] PACKAGE
//	sandcheck --help | --version
//
// PACKAGE is a directory that holds plugin.yaml and plugin.wasm, and perhaps
// config.schema.json and display_contract.json, or the same files as a zip.
// Flags may stand before and after it; each may be given once. What follows
// "--" is no flag.
//
// The result goes to standard output, everything else to standard error.
// Whatever a guest, a package or a network peer wrote is freed of control
// characters and terminal sequences before it gets to either.
//
// # run
//
// Run loads the package, runs its check once and exits as a check does. A first
// try, with all that the author asks for:
//
//	sandcheck run --unsigned --grant-requested --config '{"url":"https://example.com/"}' ./http-check
//
//	--config JSON       the config that the check reads, as JSON of at most 2 MiB
//	--config @FILE      the same from a file, "@-" from standard input; other
//	                    users can see the arguments of a process, so secrets
//	                    belong in a file
//	--grant FILE        what the check may do, of what its manifest asks for
//	--grant-requested   grant all that the manifest asks for
//	--unsigned          load the package although nobody vouches for it
//	--timeout D         the longest that the run may take, such as 5s or 1m30s;
//	                    10s if neither this nor wall_ms of the grant is given
//	--memory N          the most memory that the check may have, in MiB, from 1
//	                    to 4096; 256 without it
//	--format F          text for people (the default), nagios for monitoring
//	                    systems, json for programs
//
// Without --grant and --grant-requested the check can read its config, log and
// submit a result, and nothing else. --timeout and --memory only narrow what the
// manifest and the grant allow.
//
// A package is refused without --unsigned, for signatures are not judged yet.
//
// # Exit codes
//
// Run exits with the code of the result: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
// Every failure of the arguments, of the package or of the host is 3 as well,
// with one line "UNKNOWN: reason" on standard output and all reasons on standard
// error; so is a run that traps, times out, or ends without a result. Also --help
// and --version exit with 3, since no check was made. Inspect exits with 0 for a
// package that would load and with 3 for any other.
//
// An interrupt or SIGTERM cancels the run, which still prints its UNKNOWN. A
// second one ends the process at once.
//
// # Grant files
//
// A grant file is YAML of at most 256 KiB:
//
//	capabilities: [http_request]          # as in plugin.yaml
//	permissions:
//	  allowed_domains: [api.example.com, "*.example.org"]
//	  allowed_networks: [10.1.0.0/16]
//	  allowed_ports: [443, "8000-8100"]   # "*" is any port
//	  allow_insecure_tls: false
//	limits:
//	  memory_mb: 32                       # 1 to 4096
//	  cpu_ms: 500                         # 1 to 3600000
//	  wall_ms: 20000                      # 1 to 3600000
//	  max_open_connections: 2             # 1 to 1024
//
// A check gets what both its manifest asks for and the grant gives; the tighter
// limit holds. Whatever is left out is not granted, and a limit that is left out
// says nothing. Unknown and repeated keys, wrong types and malformed entries
// refuse the file, all of them told at once with their lines.
//
// # Formats of run
//
// Text shows the status and the summary on its first line, then details,
// metrics, how the run ended and what it used, each decision at the gates with
// its reason and, for a refusal, the line that would allow it, and what the check
// logged and printed.
//
// Nagios is the output of a classic check: status, summary, performance data and
// long text. A result that the host made itself, because the check brought none,
// has one line. Refusals are told on standard error.
//
// Json is one object on one line, for failures too:
//
//	{"result":    the document, plugin_result.v1,
//	 "ended":     "not_started", "returned", "exited", "trapped", "timed_out",
//	              "limited" or "cancelled",
//	 "error":     why it ended, "" for a plain return; a check that submitted
//	              before has its own result beside it,
//	 "usage":     {"cpu_ms": 1.5, "wall_ms": 12.25, "peak_memory": 65536, ...},
//	 "decisions": [{"func": "http_request", "allowed": false, "reason": "port_not_allowed",
//	               "hint": "allowed_ports: [8080]", "target": {...}, ...}, ...],
//	 "logs":      [{"at": "2025-01-01T10:00:00Z", "level": "INFO", "text": "..."}, ...],
//	 "stderr":    the end of what the check printed there}
//
// The keys of usage, decisions and logs are the fields of limits.Usage,
// netproxy.Decision and host.LogLine in snake_case. Durations are milliseconds
// as numbers, and their keys end in "_ms"; sizes are bytes. All keys are always
// there.
//
// # inspect
//
// Inspect tells what a package is and asks for: identity and digest, requested
// capabilities and permissions, each import with what it would be linked to if
// all requests were granted, the exports, and every problem and warning. It runs
// and compiles nothing, and needs no signature.
//
// Its json is one object with the keys loads, digest, manifest, requested,
// imports, exports, initializer, memory_min, memory_max (bytes), tables,
// sections, features, problems and warnings. An import has module, name, type,
// capability, code (0, or what a stub answers) and links_to: "host", "stub" or
// "nothing", which keeps the package from loading. All keys are always there.
package main
