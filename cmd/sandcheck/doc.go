// Sandcheck runs a monitoring check that somebody else wrote, as WebAssembly,
// and lets it reach only what you grant.
//
//	sandcheck run [--config JSON|@file] [--grant FILE | --grant-requested]
//	              [--trust FILE | --unsigned] [--store DIR] [--timeout D] [--memory N]
//	              [--format text|nagios|json] PACKAGE
//	sandcheck inspect [--trust FILE] [--store DIR] PACKAGE
//	sandcheck explain [--grant FILE] [--resolve ADDR,...] DESTINATION [PACKAGE]
//	sandcheck validate [--format text|json|github] PATH
//	sandcheck review [--grant FILE] [--old PACKAGE] [--trust FILE] [--approve FILE]
//	              [--store DIR] PACKAGE
//	sandcheck pack [-o FILE] [--store DIR] PACKAGE
//	sandcheck keygen --id ID -o PREFIX
//	sandcheck sign --key FILE --id ID [--profile P] [-o FILE] PACKAGE
//	sandcheck verify (--trust FILE | --public KEY --id ID) [--store DIR] PACKAGE
//	sandcheck schema manifest|result
//	sandcheck --help | --version
//
// PACKAGE is a directory that holds plugin.yaml and plugin.wasm, and perhaps
// config.schema.json and display_contract.json, or the same files as a zip.
// Signatures are bundle-signature.json and upload-signature.json in the
// directory, or in the folder where the zip lies. With --store DIR it is a
// reference in that store, as pack --store prints it. Flags may stand before and
// after it; each may be given once. What follows "--" is no flag.
//
// All verbs take --format text and --format json; json is one object on one line.
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
//	--trust FILE        load the package if a key of the file vouches for it
//	--unsigned          load the package although nobody vouches for it
//	--store DIR         PACKAGE is a reference in that store
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
// A package is refused without one of --trust and --unsigned.
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
// The other verbs exit with 0 for yes or done, 2 for no, and 3 for mistakes in
// the arguments and for everything that leaves the question open, such as a file
// that cannot be read. What went wrong stands on standard error, and with
// --format json also on standard output: {"errors": ["...", ...]}.
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
// # Trust files
//
// A trust file is YAML of at most 256 KiB and as strict:
//
//	keys:
//	  - id: ops-2026                      # as signatures name the key
//	    public: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=   # hex or base64
//	    not_before: 2026-01-01            # that day counts, UTC; a time will do too
//	    not_after: 2027-12-31T23:59:59Z
//	    revoked: false
//	    plugins: ["acme-*"]               # patterns of ids; every plugin without it
//	profiles: [bundle-v2]                 # also serviceradar-tool and
//	                                      # serviceradar-control-plane
//
// Without profiles, bundle-v2 and serviceradar-tool count. Bundle-v2 covers every
// file; the other two only plugin.yaml and plugin.wasm.
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
// and compiles nothing, and needs no signature. With --trust FILE it tells who
// vouches for the package; that nobody does is a problem then.
//
// Its json is one object with the keys loads, digest, manifest, requested,
// imports, exports, initializer, memory_min, memory_max (bytes), tables,
// sections, features, verdict, problems and warnings. An import has module, name,
// type, capability, code (0, or what a stub answers) and links_to: "host", "stub"
// or "nothing", which keeps the package from loading. The verdict is that of
// verify, null where nobody was asked or nobody vouches. All keys are always
// there.
//
// # explain
//
// Explain tells whether a check could reach a DESTINATION, by which rule and at
// which addresses, and the line that would allow it: a URL, tcp://host:port or
// udp://host:port. The rules are those of --grant FILE, what a PACKAGE asks for, or,
// with both, what run would make of the two. No connection is made; a name that
// the rules allow is looked up, unless --resolve ADDR,... says its addresses.
//
//	$ sandcheck explain --grant grant.yaml --resolve 10.0.0.7 https://api.example.com/
//	refused: http_request https://api.example.com:443: address_not_allowed
//
// It exits with 0 for allowed, 2 for refused, and 3 where a name that is allowed
// has no address. Its json has decision, an object as in that of run.
//
// # validate
//
// Validate tells everything that is wrong with a plugin.yaml alone, or with the
// directory or the zip of a package, with file, line, column and the line itself,
// and all warnings. It exits with 0 if nothing is wrong and 2 if something is.
//
// Its json has valid, path, problems and warnings, which are lists of objects with
// file, line, column (0 where unknown), path, rule and message. With
// --format github each is an annotation for GitHub Actions:
//
//	::error file=check/plugin.yaml,line=3,col=1::version: ...
//
// # review
//
// Review tells what to think about before a package is let in: what it asks for,
// which functions this host offers, and what is risky and why: wildcards, unverified
// certificates, private, loopback and metadata addresses, any port, files that
// nobody vouches for.
//
// --grant FILE shows what that grant leaves out, and the networks that it adds as
// your own: where names may lead is yours to say. --old PACKAGE shows what changed
// since that version. --trust FILE tells who vouches for the package. --approve FILE
// writes a grant file for run --grant: exactly what the package asks for, or what
// --grant leaves of it, never more. A file that is there is not written over, and
// nothing is approved that does not load. Review exits with 0 if the package would
// load and 2 if not.
//
// Its json has id, version, digest, loads, verdict, requested, offered, risks (path,
// entry, why), granted (kind, path, requested, granted, where kind is left_out,
// narrowed_to, operator_adds or limit), since, changes (path, old, new), approved,
// problems and warnings.
//
// # pack
//
// Pack writes a package as a zip to -o FILE, the same bytes for the same files, or
// puts it with its signatures into the store of --store DIR, a folder that is
// there, and prints its reference; or both. A file that is there is replaced.
//
// Its json has file, ref, sha256 and size (of the zip), digest (of plugin.wasm)
// and files.
//
// # keygen
//
// Keygen makes an Ed25519 key. It writes the secret half to PREFIX.key of -o PREFIX,
// for nobody else to read, and the public one to PREFIX.pub; neither may be there
// yet. Its text is a trust file with that key under the name of --id ID:
//
//	sandcheck keygen --id ops-2026 -o ops > trust.yaml
//
// Its json has id, public, key_file and public_file.
//
// # sign
//
// Sign makes a signature document with the secret key of --key FILE. The name of
// --id ID is written into it, under which verifiers look the key up. --profile P
// says what is covered: bundle-v2, the default, all files, serviceradar-tool and
// serviceradar-control-plane only plugin.yaml and plugin.wasm, as two other
// programs write them. The document goes to -o FILE, by default to the folder of
// the package, and replaces what lay there.
//
// Its json has file, key, profile, digest and notes, which say what the signature
// does not prove.
//
// # verify
//
// Verify tells whether one of the keys of --trust FILE, or that of --public KEY
// under the name --id ID, vouches for the package, and for which of its files.
// KEY is the key in hex or base64, or "@" and the name of a file that holds it.
// With --public every profile counts. It exits with 0 if so and 2 if not.
//
// Its json has verified, id, version, digest, problems and verdict: null, or an
// object with key, signer (not proven), profile, covered, not_covered and at.
//
// # schema
//
// Schema prints the JSON Schema (draft 7) of plugin.yaml, for "manifest", or of
// what a check submits, for "result"; for editors that complete and check.
package main
