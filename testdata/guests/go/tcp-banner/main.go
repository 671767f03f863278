//go:build wasip1

// Command tcp-banner connects, sends a line if told to, and judges the first
// line that comes back.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"guests/check"
)

type config struct {
	Host      string `json:"host"`
	Port      uint32 `json:"port"`
	Send      string `json:"send"`     // \r\n is added
	Expect    string `json:"expect"`   // the banner begins with it
	Contains  string `json:"contains"` // occurs in it
	Match     string `json:"match"`    // regular expression for it
	TimeoutMS uint32 `json:"timeout_ms"`
}

func main() {}

//go:wasmexport run_check
func runCheck() {
	var c config
	if err := check.Config(&c); err != nil {
		check.Fail(err)
		return
	}
	match, err := regexp.Compile(c.Match)
	if err != nil || c.Host == "" || c.Port == 0 {
		check.Result{Status: "UNKNOWN", Summary: "config needs host, port and a match that compiles"}.Submit()
		return
	}
	before := time.Now()
	banner, err := c.talk()
	if err != nil {
		check.Fail(err)
		return
	}
	r := check.Result{Status: "OK", Summary: "banner as expected", Details: banner}
	switch {
	case !strings.HasPrefix(banner, c.Expect):
		r.Status, r.Summary = "CRITICAL", "banner begins otherwise"
	case !strings.Contains(banner, c.Contains), !match.MatchString(banner):
		r.Status, r.Summary = "WARNING", "banner lacks the expected text"
	}
	r.Metrics = []check.Metric{{Name: "time", Value: float64(time.Since(before).Milliseconds()), Unit: "ms", Min: new(float64)}}
	r.Submit()
}

// talk reads the first line, at most 4 KiB of it.
func (c config) talk() (string, error) {
	conn, err := check.Dial(c.Host, c.Port, c.TimeoutMS)
	if err != nil {
		return "", err
	}
	defer conn.Close() // nothing is buffered, so a late error cannot matter
	if c.Send != "" {
		if _, err := fmt.Fprintf(conn, "%s\r\n", c.Send); err != nil {
			return "", err
		}
	}
	line, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
