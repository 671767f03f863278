package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestMistakesInArguments(t *testing.T) {
	t.Parallel()
	alive := shared("alive")
	for _, tt := range []struct {
		name string
		args []string
		want string // after "UNKNOWN: "
	}{
		{"nothing", nil, "nothing to do"},
		{"another verb", []string{"start", alive}, `"start" is nothing that sandcheck does: it has run, inspect, `},
		{"run without package", []string{"run"}, "run: no PACKAGE is named"},
		{"run with only flags", []string{"run", "--unsigned"}, "run: no PACKAGE is named"},
		{"two packages", []string{"run", alive, "other"}, "run: 2 packages are named"},
		{"unknown flag", []string{"run", "--signed", alive}, "run: flag provided but not defined: -signed"},
		{"unknown flag behind the package", []string{"run", alive, "--signed"}, "run: flag provided but not defined: -signed"},
		{"flag without value", []string{"run", alive, "--config"}, "run: flag needs an argument: -config"},
		{"flag behind --", []string{"run", "--", alive, "--unsigned"}, "run: 2 packages are named"},
		{"flag given twice", []string{"run", "--memory", "1", "--memory", "2", alive}, `run: invalid value "2" for flag -memory: the flag is given twice`},
		{"config given twice", []string{"run", "--config", "1", alive, "--config", "1"}, `run: invalid value "1" for flag -config: the flag is given twice`},
		{"unknown format", []string{"run", "--format", "xml", alive}, `run: invalid value "xml" for flag -format: must be one of text, nagios, json`},
		{"format in capitals", []string{"run", "--format", "JSON", alive}, `run: invalid value "JSON" for flag -format`},
		{"nagios is no format of inspect", []string{"inspect", "--format", "nagios", alive}, `inspect: invalid value "nagios" for flag -format: must be one of text, json`},
		{"inspect without package", []string{"inspect"}, "inspect: no PACKAGE is named"},
		{"timeout without unit", []string{"run", "--timeout", "5", alive}, `run: invalid value "5" for flag -timeout: must be a duration above zero, such as 5s`},
		{"timeout of zero", []string{"run", "--timeout", "0s", alive}, `run: invalid value "0s" for flag -timeout`},
		{"negative timeout", []string{"run", "--timeout=-1s", alive}, `run: invalid value "-1s" for flag -timeout`},
		{"memory of zero", []string{"run", "--memory", "0", alive}, `run: invalid value "0" for flag -memory: must be a whole number of MiB between 1 and 4096`},
		{"memory above the most", []string{"run", "--memory", "4097", alive}, `run: invalid value "4097" for flag -memory`},
		{"memory with a unit", []string{"run", "--memory", "64MiB", alive}, `run: invalid value "64MiB" for flag -memory`},
		{"two grants", []string{"run", "--grant", "g.yaml", "--grant-requested", alive}, "run: both --grant and --grant-requested are given"},
		{"trust and unsigned", []string{"run", "--trust", "t.yaml", "--unsigned", alive}, "run: both --trust and --unsigned are given"},
		{"trust from no such file", []string{"run", "--trust", "no-such-file", alive}, "--trust: open no-such-file: "},
		{"no such store", []string{"run", "--store", "no-such-dir", "--unsigned", "x"}, "--store: stat no-such-dir: "},
		{"config without a file", []string{"run", "--config", "@", alive}, "--config: @ needs the name of a file"},
		{"config from no such file", []string{"run", "--config", "@no-such-file", alive}, "--config: open no-such-file: "},
		{"grant from no such file", []string{"run", "--grant", "no-such-file", alive}, "--grant: open no-such-file: "},
		{"grant without a name", []string{"run", "--grant=", alive}, "--grant: open "},
		{"unsigned", []string{"run", alive}, "nobody vouches for the package: name the keys that may with --trust; if you know where it comes from, load it with --unsigned"},
		{"no such package", []string{"run", "--unsigned", "no-such-package"}, "package: stat no-such-package: "},
		{"inspect no such package", []string{"inspect", "no-such-package"}, "package: stat no-such-package: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := invoke(t, tt.args...)
			got.wantUnknown(t)
			wantIn(t, "stdout", got.out, "UNKNOWN: "+tt.want)
			wantIn(t, "stderr", got.err, "sandcheck: "+tt.want)
		})
	}
}

func TestMistakesInJSON(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"run", "--format", "json"},
		{"run", "--format=json", "--signed", shared("alive")},
		{"run", "--signed", "-format", "json", shared("alive")},
		{"run", shared("alive"), "--format", "json"},
		{"run", "--unsigned", "--format", "json", "no-such-package"},
		{"run", "--unsigned", "--format", "json", "--grant", "no-such-file", shared("alive")},
		{"run", "--unsigned", "--format", "json", shared("import-memory")},
		{"start", "--format", "json"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			got := invoke(t, args...)
			got.wantCode(t, 3)
			var doc struct {
				Result struct{ Status, Summary string }
				Ended  string
				Error  string
			}
			if err := json.Unmarshal([]byte(got.out), &doc); err != nil {
				t.Fatal(err)
			}
			if doc.Result.Status != "UNKNOWN" || doc.Ended != "not_started" || doc.Error == "" || doc.Result.Summary == "" {
				t.Errorf("got %+v, want an UNKNOWN that was not started, with its error", doc)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--help"}, "sandcheck runs untrusted monitoring checks"},
		{[]string{"-h"}, "sandcheck runs untrusted monitoring checks"},
		{[]string{"help"}, "sandcheck runs untrusted monitoring checks"},
		{[]string{"run", "--help"}, "sandcheck run [flags] PACKAGE"},
		{[]string{"run", shared("alive"), "-h"}, "sandcheck run [flags] PACKAGE"},
		{[]string{"inspect", "--help"}, "sandcheck inspect [flags] PACKAGE"},
		{[]string{"explain", "-h"}, "sandcheck explain [flags] DESTINATION"},
		{[]string{"validate", "-h"}, "sandcheck validate [flags] PATH"},
		{[]string{"review", "x", "--help"}, "sandcheck review [flags] PACKAGE"},
		{[]string{"pack", "-h"}, "sandcheck pack [flags] PACKAGE"},
		{[]string{"keygen", "-h"}, "sandcheck keygen [flags]"},
		{[]string{"sign", "-h"}, "sandcheck sign [flags] PACKAGE"},
		{[]string{"verify", "-h"}, "sandcheck verify [flags] PACKAGE"},
		{[]string{"schema", "-h"}, "sandcheck schema [flags] manifest|result"},
		{[]string{"--version"}, "sandcheck "},
	} {
		t.Run(fmt.Sprint(tt.args), func(t *testing.T) {
			t.Parallel()
			got := invoke(t, tt.args...)
			got.wantCode(t, 3)
			if !strings.HasPrefix(got.out, tt.want) || got.err != "" {
				t.Errorf("got %q and %q on stderr, want %q... and nothing", got.out, got.err, tt.want)
			}
		})
	}
}

func TestFlagsStandAnywhere(t *testing.T) {
	t.Parallel()
	alive := shared("alive")
	for _, args := range [][]string{
		{"run", "--unsigned", "--format", "nagios", alive},
		{"run", alive, "--unsigned", "--format", "nagios"},
		{"run", "--unsigned", alive, "-format=nagios"},
		{"run", "--unsigned", "--format", "nagios", "--", alive},
		{"run", "--memory", "4096", "--timeout", "1h", "--unsigned", "--format", "nagios", alive},
		{"run", "--memory", "1", "--unsigned", "--format", "nagios", alive},
	} {
		if got := invoke(t, args...); got.code != 0 || got.out != "OK: alive\n" || got.err != "" {
			t.Errorf("sandcheck %q = %+v, want OK", args, got)
		}
	}
}
