// Package oracletest holds tests alone: what result.WriteOpenMetrics writes is
// read by the parsers of Prometheus, and has to come back as it was. It is a
// module of its own, so that nobody who uses results depends on Prometheus.
package oracletest
