// Command schemagen writes the JSON Schemas that are committed beside the code
// they describe. It is run by go generate and is the only importer of the
// schema library, so that no program which embeds the library links it.
//
//	go run ./internal/schemagen manifest manifest/plugin.schema.json
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"github.com/invopop/jsonschema"
)

// documents are the types that have a schema, by the name on the command line.
var documents = map[string]struct {
	title string
	typ   reflect.Type
}{
	"manifest": {"plugin.yaml: the manifest of a sandcheck package", reflect.TypeFor[pluginYAML]()},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("got %d arguments: expected a document and a file", len(args))
	}
	text, err := generate(args[0])
	if err != nil {
		return err
	}
	return os.WriteFile(args[1], text, 0o644) //nolint:gosec // source code, read by everybody
}

// generate returns the schema of a document, indented and ended by a newline.
func generate(name string) ([]byte, error) {
	doc, ok := documents[name]
	if !ok {
		return nil, fmt.Errorf("document %q is not known", name)
	}
	if err := finite(doc.typ, nil); err != nil {
		return nil, err
	}
	r := jsonschema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true}
	s := r.ReflectFromType(doc.typ)
	s.Version, s.Title = "http://json-schema.org/draft-07/schema#", doc.title
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// finite refuses types that contain themselves: the schema library would
// follow them until the stack ends.
func finite(t reflect.Type, above []reflect.Type) error {
	for _, a := range above {
		if a == t {
			return fmt.Errorf("type %v contains itself", t)
		}
	}
	above = append(above, t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return finite(t.Elem(), above)
	case reflect.Struct:
		for i := range t.NumField() {
			if err := finite(t.Field(i).Type, above); err != nil {
				return err
			}
		}
	}
	return nil
}
