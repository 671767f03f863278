package wasmgen

import "encoding/json"

// Submits makes a guest that submits one document and returns.
func Submits(doc string) []byte {
	var b Builder
	submit := b.ImportFunc("env", "submit_result", Env("", 2).Sig)
	b.Memory(pagesFor(uint32(len(doc))))
	b.Data(0, []byte(doc))
	b.ExportFunc("run_check", b.Func(Sig{}, nil,
		Drop(Call(submit, I32Const(0), I32Const(int32(len(doc)))))))
	return b.Bytes()
}

// Silent makes a guest that returns without a word.
func Silent() []byte { return entry() }

// Loops makes a guest that never returns.
func Loops() []byte { return entry(Loop(Br(0))) }

// Traps makes a guest that ends in a trap of kind unreachable.
func Traps() []byte { return entry(Unreachable()) }

// Recurses makes a guest that calls itself without end.
func Recurses() []byte {
	var b Builder
	b.Memory(1)
	f := b.Declare(Sig{})
	b.Define(f, nil, Call(f))
	b.ExportFunc("run_check", f)
	return b.Bytes()
}

// Doubles makes a guest of n functions, each calling the next one twice and
// none looping: 2^n calls on a stack of n frames.
func Doubles(n int) []byte {
	var b Builder
	b.Memory(1)
	next := b.Func(Sig{}, nil)
	for range n {
		next = b.Func(Sig{}, nil, Call(next), Call(next))
	}
	b.ExportFunc("run_check", next)
	return b.Bytes()
}

// Grows makes a proxy guest that asks 65,536 times for one more page of
// memory and notes the last answer.
func Grows() []byte {
	return Proxy(Script{Entry: []Step{Grow(1).TimesLast(1 << 16)}})
}

// entry makes a guest whose run_check has this body.
func entry(body ...[]byte) []byte {
	var b Builder
	b.Memory(1)
	b.ExportFunc("run_check", b.Func(Sig{}, nil, body...))
	return b.Bytes()
}

// The memory of the guest that Fetches makes.
const (
	fetchText     = 64        // summary texts
	fetchReport   = 512       // the document under construction
	fetchRequest  = 1024      // the request
	fetchResponse = 16 * page // the response, behind any request
	fetchRoom     = 4 << 20   // for it, as SDKs have
)

// Fetches makes a guest that asks for url and submits OK for a status below
// 400, else CRITICAL. The summary is "HTTP 204" or "http_request answered -2".
func Fetches(url string) []byte {
	request, err := json.Marshal(map[string]string{"url": url, "response_mode": "status_body"})
	if err != nil || len(request) > fetchResponse-fetchRequest {
		misuse("Fetches: url of %d bytes is too long", len(url))
	}
	var b Builder
	ask := b.ImportFunc("env", "http_request", Env("", 4).Sig)
	submit := b.ImportFunc("env", "submit_result", Env("", 2).Sig)
	b.Memory((fetchResponse + fetchRoom) / page)
	b.Data(fetchRequest, request)

	texts := []string{`{"status":"OK","summary":"HTTP `, `{"status":"CRITICAL","summary":"HTTP `, `{"status":"CRITICAL","summary":"http_request answered -`}
	answer, cursor := LocalGet(0), LocalGet(1)
	at := uint32(fetchText)
	var begin [3][]byte
	for i, text := range texts {
		b.Data(at, []byte(text))
		begin[i] = Seq(
			MemoryCopy(I32Const(fetchReport), I32Const(int32(at)), I32Const(int32(len(text)))),
			LocalSet(1, I32Const(fetchReport+int32(len(text)))))
		at += uint32(len(text))
	}
	putc := func(c []byte) []byte {
		return Seq(I32Store8(0, cursor, c), LocalSet(1, I32Add(cursor, I32Const(1))))
	}
	letter := I32Load8U(fetchResponse, LocalGet(2))

	// A response in this mode is digits, a line feed and the body.
	copyStatus := Block(Loop(
		BrIf(1, I32Or(I32GeU(LocalGet(2), I32Const(3)), I32GeS(LocalGet(2), answer))),
		putc(letter),
		LocalSet(2, I32Add(LocalGet(2), I32Const(1))),
		Br(0),
	))
	b.ExportFunc("run_check", b.Func(Sig{}, I32s(3),
		LocalSet(0, Call(ask, I32Const(fetchRequest), I32Const(int32(len(request))), I32Const(fetchResponse), I32Const(fetchRoom))),
		IfElse(I32LtS(answer, I32Const(0)),
			// All codes have one digit.
			Seq(begin[2], putc(I32Sub(I32Const('0'), answer))),
			Seq(IfElse(I32LtU(letter, I32Const('4')), begin[0], begin[1]), copyStatus)),
		putc(I32Const('"')), putc(I32Const('}')),
		Drop(Call(submit, I32Const(fetchReport), I32Sub(cursor, I32Const(fetchReport))))))
	return b.Bytes()
}

func pagesFor(n uint32) uint32 { return n/page + 1 }
