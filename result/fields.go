package result

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sandcheck/sandcheck/internal/strict"
)

func (p *parser) readStatus(f Field) {
	switch strict.KindOf(f.Value) {
	case strict.Null:
	case strict.Text:
		text := strict.Unquote(f.Value)
		status, err := ParseStatus(text)
		if p.status = nil; err != nil {
			shown, _ := cut(text, 64)
			p.status = &Issue{"status_value", "/status", fmt.Sprintf("%q is none of OK, WARNING, CRITICAL, UNKNOWN", shown)}
		}
		p.res.Status = status
	default:
		p.status = &Issue{"status_type", "/status", "the status must be a text"}
	}
}

func (p *parser) readSummary(f Field) {
	switch strict.KindOf(f.Value) {
	case strict.Null:
	case strict.Text:
		text := strict.Unquote(f.Value)
		if p.summary = nil; isBlank(text) {
			p.summary = &Issue{"summary_blank", "/summary", "the summary must say something"}
			return
		}
		p.res.Summary = p.cut(text, maxSummary, "/summary")
	default:
		p.summary = &Issue{"summary_type", "/summary", "the summary must be a text"}
	}
}

// readDetails keeps JSON documents whole: half of one is of no use, and there
// are plugins that send pages of it.
func (p *parser) readDetails(f Field) {
	if !p.is(f, strict.Text) {
		return
	}
	text := strict.Unquote(f.Value)
	if start := strings.TrimLeft(text, blanks); strings.HasPrefix(start, "{") || strings.HasPrefix(start, "[") {
		p.res.Details = text
		return
	}
	p.res.Details = p.cut(text, maxDetails, "/details")
}

func (p *parser) readPerfdata(f Field) {
	text := p.text(f, maxPerfdata)
	p.res.Perfdata = text
	if text == "" {
		return
	}
	if len(strict.Unquote(f.Value)) > maxPerfdata {
		// The cut runs through an item; that it is broken is no news.
		text = text[:strings.LastIndexAny(text, space)+1]
	}
	_, problems := scanPerfdata(text)
	for _, e := range problems {
		p.issue("perfdata", "/perfdata", e.Error())
	}
}

func (p *parser) readMetrics(f Field) {
	if !p.is(f, strict.Array) {
		return
	}
	names := map[string]bool{}
	for i, raw := range strict.Elements(f.Value) {
		if len(p.res.Metrics) == maxMetrics {
			p.issue("count_truncated", "/metrics", fmt.Sprintf("only the first %d metrics are kept", maxMetrics))
			return
		}
		at := strict.Index("/metrics", i)
		if p.aliases && strict.KindOf(raw) == strict.Object {
			raw = join(p.fields(raw, at, metricAliases))
		}
		d := decodeMetric(raw)
		if d.dropped != nil {
			p.issues(at, []Issue{*d.dropped})
			continue
		}
		p.issues(at, d.issues)
		if names[d.Name] {
			p.issue("metric_duplicate", at, fmt.Sprintf("the name %q stands twice; exporters use the last", head(d.Name, 64)))
		}
		names[d.Name] = true
		p.res.Metrics = append(p.res.Metrics, d.Metric)
	}
}

func (p *parser) readLabels(f Field) {
	if !p.is(f, strict.Object) {
		return
	}
	labels := map[string]string{}
	for key, value := range strict.Fields(f.Value) {
		at := strict.Join("/labels", key)
		if len(key) > maxLabelKey {
			p.issue("label_dropped", at, fmt.Sprintf("dropped: the name has more than %d bytes", maxLabelKey))
			continue
		}
		text := ""
		switch strict.KindOf(value) {
		case strict.Text:
			text = strict.Unquote(value)
		case strict.Number, strict.Bool:
			text = string(value)
			p.issue("label_converted", at, "converted to text")
		default:
			p.issue("label_dropped", at, "dropped: a label must be a text")
			continue
		}
		if len(labels) == maxLabels {
			p.issue("count_truncated", "/labels", fmt.Sprintf("only the first %d labels are kept", maxLabels))
			break
		}
		labels[key] = p.cut(text, maxLabelText, at)
	}
	if len(labels) > 0 {
		p.res.Labels = labels
	}
}

func (p *parser) readObservedAt(f Field) {
	if !p.is(f, strict.Text) {
		return
	}
	text := strings.TrimSpace(strict.Unquote(f.Value))
	if text == "" {
		return
	}
	at, ok := parseTime(text)
	if !ok {
		shown, _ := cut(text, 64)
		p.issue("observed_at_invalid", "/observed_at", fmt.Sprintf("ignored: %q is not a time of RFC 3339", shown))
		return
	}
	p.res.ObservedAt = at
}

// parseTime reads RFC 3339. time.Parse also takes a comma for the point, hours
// of one digit and zones beyond a day, and no lower-case letters.
func parseTime(text string) (time.Time, bool) {
	text = strings.ToUpper(text)
	const shortest = len("2006-01-02T15:04:05Z")
	if len(text) < shortest || len(text) > 64 || text[len("2006-01-02T15")] != ':' || strings.Contains(text, ",") {
		return time.Time{}, false
	}
	if zone := text[len(text)-len("+07:00"):]; !strings.HasSuffix(zone, "Z") && (zone[1:3] > "23" || zone[4:] > "59") {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	return t.UTC(), err == nil
}

func (p *parser) readSchemaVersion(f Field) {
	if !p.is(f, strict.Number) {
		return
	}
	version, err := strconv.Atoi(string(f.Value))
	if err != nil || version < 1 {
		p.mismatch(f, "a whole number of at least 1")
		return
	}
	if p.res.SchemaVersion = version; version > 1 {
		p.issue("schema_version_newer", "/schema_version", "kept; this library knows version 1")
	}
}

func (p *parser) readDisplay(f Field) {
	if !p.is(f, strict.Array) {
		return
	}
	for i, raw := range strict.Elements(f.Value) {
		if i == maxWidgets {
			p.issue("count_truncated", "/display", fmt.Sprintf("only the first %d widgets are kept", maxWidgets))
			return
		}
		d := decodeWidget(raw)
		p.issues(strict.Index("/display", i), d.issues)
		p.res.Display = append(p.res.Display, d.Widget)
	}
}

// readID checks one of the ids that are passed on unread.
func (p *parser) readID(f Field) {
	switch strict.KindOf(f.Value) {
	case strict.Null:
		return
	case strict.Text:
	default:
		p.issue("type_mismatch", strict.Join("", f.Name), "kept as written: not a text")
	}
	p.keep(f)
}

func (p *parser) readEvents(f Field) {
	if !p.is(f, strict.Array) {
		return
	}
	for i, raw := range strict.Elements(f.Value) {
		at := strict.Index("/events", i)
		switch {
		case len(p.res.Events) == maxEvents:
			p.issue("count_truncated", "/events", fmt.Sprintf("only the first %d events are kept", maxEvents))
			return
		case len(raw) > maxEvent:
			p.issue("event_too_large", at, fmt.Sprintf("dropped: %d bytes, at most %d are kept", len(raw), maxEvent))
			continue
		}
		if why := eventProblem(raw); why != "" {
			p.issue("event_invalid", at, "kept as written: "+why)
		}
		p.res.Events = append(p.res.Events, raw)
	}
}

// eventProblem says what is wrong with the fields by which events are routed.
func eventProblem(raw []byte) string {
	if strict.KindOf(raw) != strict.Object {
		return "an event must be an object"
	}
	var why []string
	for name, value := range strict.Fields(raw) {
		if strict.KindOf(value) == strict.Null {
			continue
		}
		n, whole := integer(value)
		switch name {
		case "class_uid":
			if !whole {
				why = append(why, "class_uid must be a whole number")
			}
		case "severity_id":
			if !whole || n != 99 && (n < 0 || n > 6) {
				why = append(why, "severity_id must be 0 to 6 or 99")
			}
		case "time":
			if _, ok := parseTime(strict.Unquote(value)); !whole && !ok {
				why = append(why, "time must be RFC 3339 or whole milliseconds")
			}
		}
	}
	return strings.Join(why, "; ")
}

func integer(value []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil
}
