package result

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sandcheck/sandcheck/internal/strict"
)

// Bounds of a document. What lies beyond them is cut or dropped, with an Issue.
const (
	maxSummary   = 2048
	maxDetails   = 64 << 10
	maxMetrics   = 1024
	maxLabels    = 64
	maxLabelKey  = 128
	maxLabelText = 1024
	maxWidgets   = 64
	maxEvents    = 256
	maxEvent     = 64 << 10
	maxCondition = 128
	maxExtra     = 256 << 10
	maxIssues    = 1024
)

// Parse reads a plugin_result.v1 document.
//
// It fails when the document is not one that every reader reads alike, or has
// no usable status and summary. The error then joins an *Issue for each reason,
// in order, so errors.As finds the first. Codes: empty, too_large (over
// 2,097,152 bytes), bom, not_json, trailing_data, not_object, too_deep (over
// 32), too_many_tokens (over 200,000), too_many_keys (over 1,024 in one
// object), duplicate_key, key_utf8, number_too_long (over 64 characters or an
// exponent over 400), and status_ or summary_ followed by missing, type, value
// or blank.
//
// Any other problem is repaired and listed in Result.Issues, at most 1,024. An
// ObservedAt that is missing or unreadable is zero; whether it lies in the
// future is for the caller to judge, who has a clock. The Result keeps no
// reference to doc.
func Parse(doc []byte) (*Result, error) { return parse(doc, false) }

// CompatAliases is Parse for documents of plugins that use other names. Where
// the proper name is absent or null, the first of these that is there is read
// in its place, with an issue alias_used; everything else is as for Parse, so
// "12abc" is not 12 here either.
//
//	summary         message
//	details         long_output, longOutput
//	perfdata        perf_data, perfData
//	observed_at     observedAt, timestamp
//	schema_version  schemaVersion
//	alert_hint      alertHint
//	condition_id    conditionId, conditionID
//	metrics[]       name: metric, label; value: val; unit: uom;
//	                warn: warning; crit: critical; min: minimum; max: maximum
func CompatAliases(doc []byte) (*Result, error) { return parse(doc, true) }

func parse(doc []byte, aliases bool) (*Result, error) {
	clean, repaired, err := strict.Repair(doc, strict.Options{})
	if err != nil {
		return nil, invalid(err)
	}
	if len(repaired) == 0 {
		clean = bytes.Clone(clean) // doc may be a view of memory that a guest goes on using
	}
	p := &parser{aliases: aliases, res: &Result{SchemaVersion: 1}, extraLeft: maxExtra}
	for _, e := range repaired {
		p.issue(e.Code, e.Pointer, "broken characters were replaced by U+FFFD")
	}
	if err := p.root(clean); err != nil {
		return nil, fmt.Errorf("result: %w", err)
	}
	return p.res, nil
}

// invalid turns the findings of the pre-scan into issues.
func invalid(err error) error {
	var found strict.Errors
	if !errors.As(err, &found) {
		return fmt.Errorf("result: %w", err)
	}
	errs := make([]error, len(found))
	for i, e := range found {
		errs[i] = &Issue{e.Code, e.Pointer, fmt.Sprintf("%s (byte %d)", e.Message, e.Offset)}
	}
	return fmt.Errorf("result: %w", errors.Join(errs...))
}

// actionResult is the schema of another kind of document, which a plugin may
// send to the reference host by another way.
const actionResult = "serviceradar.northbound_action_result.v1"

// parser builds one Result from a document that passed the pre-scan.
type parser struct {
	aliases   bool
	res       *Result
	other     *Issue // why this is another kind of document
	status    *Issue // why there is no status, or no summary
	summary   *Issue
	extraLeft int // bytes that unknown fields may still take
	extraFull bool
}

// issue records a finding. A document may hold more oddities than anybody
// reads, so the list ends with one that says so.
func (p *parser) issue(code, pointer, message string) {
	switch n := len(p.res.Issues); {
	case n < maxIssues-1:
		p.res.Issues = append(p.res.Issues, Issue{code, pointer, message})
	case n == maxIssues-1:
		p.res.Issues = append(p.res.Issues, Issue{"issues_truncated", "", fmt.Sprintf("only the first %d issues are listed", n)})
	}
}

func (p *parser) issues(pointer string, found []Issue) {
	for _, i := range found {
		p.issue(i.Code, pointer+i.Pointer, i.Message)
	}
}

func (p *parser) root(doc []byte) error {
	p.status = &Issue{"status_missing", "", "the field status is required"}
	p.summary = &Issue{"summary_missing", "", "the field summary is required"}
	fields := p.fields(doc, "", rootAliases)
	for _, f := range fields {
		p.field(f)
	}
	var errs []error
	for _, i := range []*Issue{p.other, p.status, p.summary} {
		if i != nil {
			errs = append(errs, i)
		}
	}
	return errors.Join(errs...)
}

// field reads one field of the root.
func (p *parser) field(f Field) {
	r := p.res
	switch f.Name {
	case "schema":
		// The two kinds of document share field names, so one could pass for the other.
		if strict.KindOf(f.Value) == strict.Text && strict.Unquote(f.Value) == actionResult {
			p.other = &Issue{"status_value", "/schema", "this is the result of an action, not of a check"}
		}
		p.keep(f)
	case "status":
		p.readStatus(f)
	case "summary":
		p.readSummary(f)
	case "details":
		p.readDetails(f)
	case "perfdata":
		p.readPerfdata(f)
	case "metrics":
		p.readMetrics(f)
	case "labels":
		p.readLabels(f)
	case "observed_at":
		p.readObservedAt(f)
	case "schema_version":
		p.readSchemaVersion(f)
	case "display":
		p.readDisplay(f)
	case "events":
		p.readEvents(f)
	case "alert_hint":
		if p.is(f, strict.Bool) {
			r.AlertHint = f.Value[0] == 't'
		}
	case "condition_id":
		r.ConditionID = p.text(f, maxCondition)
	case "check_instance_id", "monitored_service_id", "device_uid":
		p.readID(f)
	case "device_discovery", "advisory_feeds", "camera_descriptors", "device_enrichment", "threat_intel":
		r.Extra = append(r.Extra, f) // opaque; the bound of the document is theirs
	default:
		if known := foldsTo(f.Name, rootFields[:]); known != "" {
			p.issue("case_mismatch", strict.Join("", f.Name), fmt.Sprintf("kept as an unknown field; the field is called %q", known))
		}
		p.keep(f)
	}
}

// rootFields are the names that have a meaning, in the order of writing.
var rootFields = [...]string{
	"status", "summary", "details", "perfdata", "metrics", "labels", "observed_at", "schema_version",
	"display", "events", "alert_hint", "condition_id",
	"check_instance_id", "monitored_service_id", "device_uid",
	"device_discovery", "advisory_feeds", "camera_descriptors", "device_enrichment", "threat_intel",
}

// keep puts a field that is not understood into Extra.
func (p *parser) keep(f Field) {
	size := len(f.Name) + len(f.Value)
	if p.extraFull || size > p.extraLeft {
		p.extraFull = true
		p.issue("extra_dropped", strict.Join("", f.Name), fmt.Sprintf("dropped: unknown fields take more than %d bytes together", maxExtra))
		return
	}
	p.extraLeft -= size
	p.res.Extra = append(p.res.Extra, f)
}

// is reports whether f is of the wanted kind. Null is like absent; another kind
// is reported and the field kept as written.
func (p *parser) is(f Field, want strict.Kind) bool {
	switch strict.KindOf(f.Value) {
	case want:
		return true
	case strict.Null:
	default:
		p.mismatch(f, [...]string{"", "an object", "a list", "a text", "a number", "true or false", ""}[want])
	}
	return false
}

func (p *parser) mismatch(f Field, want string) {
	p.issue("type_mismatch", strict.Join("", f.Name), "ignored: not "+want)
	p.keep(f)
}

// text reads a text field and cuts it to most bytes.
func (p *parser) text(f Field, most int) string {
	if !p.is(f, strict.Text) {
		return ""
	}
	return p.cut(strict.Unquote(f.Value), most, strict.Join("", f.Name))
}

func (p *parser) cut(s string, most int, pointer string) string {
	text, shortened := cut(s, most)
	if shortened {
		p.issue("text_truncated", pointer, fmt.Sprintf("%d bytes, cut to %d", len(s), most))
	}
	return text
}
