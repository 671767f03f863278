// Package result is plugin_result.v1, the document in which a check says what
// it found, and what monitoring systems want to hear instead of it.
//
// It needs no Wasm: a control plane validates documents with it, a plugin's
// unit test builds them, an agent turns them into a classic check's output.
//
//	{
//	  "status": "WARNING",                         required: OK WARNING CRITICAL UNKNOWN
//	  "summary": "disk / is 91% full",             required: one line for people
//	  "details": "/dev/sda1 ...",                  long text, or a JSON document as text
//	  "perfdata": "/=91%;90;95",                   see ParsePerfdata
//	  "metrics": [{"name": "free", "value": 8.5, "unit": "GB", "warn": 10}],
//	  "labels": {"region": "iad"},
//	  "observed_at": "2025-01-01T10:00:00.5Z",     the host fills it in when absent
//	  "schema_version": 1,
//	  "display": [{"widget": "stat_card", "label": "Used", "value": "91%", "tone": "warning"}],
//	  "events": [{"class_uid": 1008, "severity_id": 3}],
//	  "alert_hint": true,                          a wish for an alert at once
//	  "condition_id": "disk-full",                 and its key
//	  "vendor": {"any": "thing"}                   unknown: kept as written
//	}
//
// # Reading
//
// Parse distinguishes two sorts of problem. What leaves a document open to two
// readings, or without a status and a summary, makes it invalid: Parse fails
// and names each *Issue. Everything else is repaired, and Result.Issues says
// what was cut, converted or dropped. Names match exactly; CompatAliases is the
// loud alternative for documents of older plugins. Nothing is allocated beyond
// a small multiple of the document, which has at most 2 MiB.
//
// # Thresholds
//
// A Metric's Warn and Crit mean "alert at this value and above". A Perfdata
// Range means "alert outside of". Points and WriteNagios print a metric's
// bounds as plain numbers, which a classic reader takes for "outside of 0 to
// n"; a bound below zero is written "~:n". A check that means more says it in
// perfdata.
package result
