package wasmbin

import (
	"bytes"
	"fmt"
)

const (
	magic            = "\x00asm"
	wasmVersion      = "\x01\x00\x00\x00"
	componentVersion = "\x0d\x00\x01\x00"
)

// sniff refuses what is not a core module, and says what it seems to be.
func sniff(wasm []byte) *Error {
	refuse := func(reason, cure string) *Error {
		return &Error{ID: NotWasm, Func: -1, Reason: reason, Cure: cure}
	}
	if len(wasm) == 0 {
		return refuse("the file is empty", "give the bytes of a Wasm module")
	}
	if !bytes.HasPrefix(wasm, []byte(magic)[:min(4, len(wasm))]) {
		return refuse(notWasm(wasm))
	}
	if len(wasm) < 8 {
		return &Error{ID: Malformed, Offset: len(wasm), Func: -1,
			Reason: fmt.Sprintf("the module is cut after %d bytes, inside its header", len(wasm)), Cure: "fetch or build it again"}
	}
	switch v := string(wasm[4:8]); {
	case v == wasmVersion:
		return nil
	case v == componentVersion || wasm[6] == 1:
		return &Error{ID: Unsupported, Offset: 4, Func: -1, What: "component",
			Reason: "this is a WebAssembly component, not a core module", Cure: "build for wasm32-wasip1 instead of wasip2, or unbundle the core module"}
	default:
		return &Error{ID: Malformed, Offset: 4, Func: -1,
			Reason: fmt.Sprintf("unknown binary version %x", v), Cure: "build a module of version 1"}
	}
}

func notWasm(b []byte) (reason, cure string) {
	const build = "give the bytes of a Wasm module"
	for _, k := range []struct{ prefix, reason, cure string }{
		{"PK\x03\x04", "this is a zip archive, not a Wasm module", "open it as a bundle, or take plugin.wasm out of it"},
		{"PK\x05\x06", "this is an empty zip archive, not a Wasm module", build},
		{"\x1f\x8b", "this is gzip data, not a Wasm module", "decompress it first"},
		{"\x28\xb5\x2f\xfd", "this is zstd data, not a Wasm module", "decompress it first"},
		{"\x7fELF", "this is a native ELF file, not a Wasm module", "build for a wasm32 target"},
		{"MZ", "this is a native Windows program, not a Wasm module", "build for a wasm32 target"},
		{"\xcf\xfa\xed\xfe", "this is a native Mach-O file, not a Wasm module", "build for a wasm32 target"},
		{"!<arch>", "this is a library archive, not a Wasm module", "link it into a module first"},
		{"BC\xc0\xde", "this is LLVM bitcode, not a Wasm module", "link it into a module first"},
	} {
		if bytes.HasPrefix(b, []byte(k.prefix)) {
			return k.reason, k.cure
		}
	}
	text := bytes.TrimLeft(b, "\xef\xbb\xbf \t\r\n")
	switch {
	case bytes.HasPrefix(text, []byte("(")), bytes.HasPrefix(text, []byte(";;")):
		return "this is WebAssembly text, not a binary module", "assemble it first, for example with wat2wasm"
	case bytes.HasPrefix(text, []byte("<")):
		return "this is a web page or XML, not a Wasm module", "check the address it was fetched from"
	}
	return fmt.Sprintf("not a Wasm module: it starts with %q", b[:min(8, len(b))]), build
}
