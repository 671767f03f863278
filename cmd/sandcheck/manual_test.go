package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// TestManual holds flags, usage and the package comment together.
func TestManual(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	manual := f.Doc.Text()
	for _, v := range verbs() {
		file := v.name + ".go"
		names := flagsOf(t, file)
		if len(names) == 0 && v.name != "schema" && v.name != "validate" {
			t.Errorf("%s defines no flags", file)
		}
		for _, name := range append(names, "format") {
			if len(name) > 1 {
				name = "-" + name
			}
			wantIn(t, "usage", v.usage, "  -"+name+" ")
			wantIn(t, "manual", manual, "-"+name+" ")
		}
		wantIn(t, "manual", manual, "# "+v.name+"\n")
	}
	for _, v := range verbs() {
		wantIn(t, "manual", manual, "sandcheck "+v.name+" ")
	}
}

// flagsOf finds the names that a file gives to the flag package.
func flagsOf(t *testing.T, file string) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		fun, isIdent := call.Fun.(*ast.Ident)
		sel, isSel := call.Fun.(*ast.SelectorExpr)
		if isIdent && fun.Name == "once" || isSel && sel.Sel.Name == "BoolVar" {
			if name, ok := call.Args[1].(*ast.BasicLit); ok {
				names = append(names, strings.Trim(name.Value, `"`))
			}
		}
		return true
	})
	return names
}
