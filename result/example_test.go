package result_test

import (
	"errors"
	"fmt"
	"os"

	"github.com/sandcheck/sandcheck/result"
)

func ExampleParse() {
	r, err := result.Parse([]byte(`{"status":"warning","summary":"disk is filling up","perfdata":"/=91%;90;95 inodes=1,5","vendor":{"rack":7}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Status, r.Summary)
	for _, p := range r.Points() {
		fmt.Println(p.Label, p.Value, p.Unit, "alerts:", p.Warn.Alerts(p.Value))
	}
	for _, i := range r.Issues {
		fmt.Println(i.Message)
	}
	fmt.Printf("%s = %s\n", r.Extra[0].Name, r.Extra[0].Value)

	_, err = result.Parse([]byte(`{"status":"OK","status":"CRITICAL","summary":"x"}`))
	var first *result.Issue
	if errors.As(err, &first) {
		fmt.Println("invalid:", first.Code, "at", first.Pointer)
	}
	// Output:
	// WARNING disk is filling up
	// / 91 % alerts: true
	// value_comma: "1,5" at 19
	// vendor = {"rack":7}
	// invalid: duplicate_key at /status
}

func ExampleResult_WriteNagios() {
	warn := 80.0
	r := &result.Result{
		Status:  result.OK,
		Summary: "12% of inodes in use",
		Metrics: []result.Metric{{Name: "inodes used", Value: 12, Unit: "%", Warn: &warn}},
	}
	if err := r.Validate(); err != nil {
		fmt.Println(err)
	}
	if err := r.WriteNagios(os.Stdout); err != nil {
		fmt.Println(err)
	}
	fmt.Println("exit", r.Status.ExitCode())
	// Output:
	// OK: 12% of inodes in use | 'inodes used'=12%;80
	// exit 0
}
