package main

import (
	"context"
	"encoding/json"

	"github.com/sandcheck/sandcheck/manifest"
	"github.com/sandcheck/sandcheck/result"
)

const schemaUsage = `sandcheck schema [flags] manifest|result
  --format F             text, for reading, or json, on one line; default text
`

// printSchema is sandcheck schema.
func printSchema(_ context.Context, c *console, args []string) int {
	t := newTool("schema", schemaUsage)
	return c.use(t, args, func(operands []string) (*answer, error) {
		name, err := one(operands, "manifest or result")
		if err != nil {
			return nil, err
		}
		var doc []byte
		switch name {
		case "manifest":
			doc = manifest.JSONSchema()
		case "result":
			doc = result.JSONSchema()
		default:
			return nil, mistaken("%s is neither manifest nor result", quoted(name))
		}
		return &answer{text: string(doc), doc: json.RawMessage(doc)}, nil
	})
}
