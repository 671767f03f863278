package manifest

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sandcheck/sandcheck/limits"
)

// A bundle is a zip under suspicion. Readers of zip files differ in where they
// look for the directory, which of two equal names wins and which of two
// headers they believe; this one refuses every archive for which that matters.
type bundle struct {
	r       io.ReaderAt
	size    int64
	entries []entry
	dirAt   int64 // where the directory begins and the data ends
}

// entry is one record of the directory.
type entry struct {
	name             string
	flags, method    uint16
	crc              uint32
	packed, unpacked int64
	attributes       uint32
	at               int64 // of the local header
}

// Sizes and signatures of the records of a zip file, which is little endian.
const (
	localSize, directorySize, endSize = 30, 46, 22
	localSign, directorySign, endSign = "PK\x03\x04", "PK\x01\x02", "PK\x05\x06"
	descriptorSign                    = "PK\x07\x08"
	maxComment                        = 1<<16 - 1
)

func container(rule, format string, args ...any) error {
	return &Error{Rule: rule, Message: "the bundle " + fmt.Sprintf(format, args...)}
}

// open reads the directory.
func (b *bundle) open() error {
	switch {
	case b.size <= 0:
		return container("bundle_not_zip", "is empty")
	case b.size > int64(maxBundle):
		return container("bundle_too_large", "has %d bytes: at most %d are allowed", b.size, int64(maxBundle))
	}
	end, err := b.findEnd()
	if err != nil {
		return err
	}
	head, err := b.bytes(0, int64(len(localSign)))
	if err != nil {
		return err
	}
	if string(head) != localSign {
		if end.at == 0 {
			return container("bundle_not_zip", "holds no files")
		}
		return container("bundle_leading_data", "does not begin with its first file")
	}
	return b.readDirectory(end)
}

// endRecord is the last record of an archive.
type endRecord struct {
	at, dirAt, dirSize int64
	entries            int
}

// findEnd looks for the end record, which a comment may follow.
func (b *bundle) findEnd() (end endRecord, err error) {
	from := max(b.size-endSize-maxComment, 0)
	tail, err := b.bytes(from, b.size-from)
	if err != nil {
		return end, err
	}
	stray := false
	for i := len(tail) - endSize; i >= 0; i-- {
		if !bytes.HasPrefix(tail[i:], []byte(endSign)) {
			continue
		}
		rec := tail[i:]
		switch rest := len(rec) - endSize - int(binary.LittleEndian.Uint16(rec[20:])); {
		case rest > 0:
			stray = true
			continue
		case rest < 0:
			continue
		case stray || bytes.Contains(rec[4:], []byte(endSign)):
			return end, container("bundle_trailing_data", "has a second end record in its comment")
		}
		if binary.LittleEndian.Uint32(rec[4:]) != 0 || rec[8] != rec[10] || rec[9] != rec[11] {
			return end, container("bundle_not_zip", "is one part of several")
		}
		return endRecord{
			at: from + int64(i), entries: int(binary.LittleEndian.Uint16(rec[10:])),
			dirSize: int64(binary.LittleEndian.Uint32(rec[12:])), dirAt: int64(binary.LittleEndian.Uint32(rec[16:])),
		}, nil
	}
	if stray || from > 0 && b.endsBefore(from) {
		return end, container("bundle_trailing_data", "goes on after its end record")
	}
	return end, container("bundle_not_zip", "is not a zip file, or is cut short: it has no end record")
}

// endsBefore tells whether an archive ends further in front than a comment can
// make it: it begins like one, and an end record is somewhere before from.
func (b *bundle) endsBefore(from int64) bool {
	if head, err := b.bytes(0, int64(len(localSign))); err != nil || string(head) != localSign {
		return false
	}
	const step = 1 << 20
	for at := int64(0); at < from; at += step {
		part, err := b.bytes(at, min(step+endSize, b.size-at)) // they overlap by a record
		if err != nil {
			return false
		}
		for i := bytes.Index(part, []byte(endSign)); i >= 0 && i+endSize <= len(part); {
			rec := part[i:]
			dirAt, dirSize := int64(binary.LittleEndian.Uint32(rec[16:])), int64(binary.LittleEndian.Uint32(rec[12:]))
			if dirAt+dirSize == at+int64(i) {
				return true
			}
			next := bytes.Index(part[i+1:], []byte(endSign))
			if next < 0 {
				break
			}
			i += 1 + next
		}
	}
	return false
}

func (b *bundle) readDirectory(end endRecord) error {
	switch {
	case end.entries > maxEntries:
		return container("too_many_entries", "has %d entries: at most %d are allowed", end.entries, maxEntries)
	case end.dirAt+end.dirSize > end.at:
		return container("bundle_not_zip", "is damaged: its directory does not fit")
	case end.dirAt+end.dirSize < end.at:
		return container("bundle_leading_data", "holds data that its directory does not know of, such as a second archive in front")
	}
	dir, err := b.bytes(end.dirAt, end.dirSize)
	if err != nil {
		return err
	}
	first := end.dirAt
	for range end.entries {
		e, size, ok := readEntry(dir)
		if !ok {
			return container("bundle_not_zip", "is damaged: its directory cannot be read")
		}
		b.entries = append(b.entries, e)
		dir = dir[size:]
		first = min(first, e.at)
	}
	switch {
	case len(dir) > 0:
		return container("bundle_not_zip", "is damaged: its directory holds more than it says")
	case first != 0:
		return container("bundle_leading_data", "holds data in front of its first file")
	}
	b.dirAt = end.dirAt
	return nil
}

func readEntry(dir []byte) (e entry, size int, ok bool) {
	if len(dir) < directorySize || string(dir[:4]) != directorySign {
		return e, 0, false
	}
	u16 := func(i int) uint16 { return binary.LittleEndian.Uint16(dir[i:]) }
	u32 := func(i int) uint32 { return binary.LittleEndian.Uint32(dir[i:]) }
	nameLen := int(u16(28))
	size = directorySize + nameLen + int(u16(30)) + int(u16(32))
	if len(dir) < size {
		return e, 0, false
	}
	return entry{
		name: string(dir[directorySize : directorySize+nameLen]), flags: u16(8), method: u16(10), crc: u32(16),
		packed: int64(u32(20)), unpacked: int64(u32(24)), attributes: u32(38), at: int64(u32(42)),
	}, size, true
}

// read checks the entry at index i and unpacks it.
func (b *bundle) read(i int) ([]byte, error) {
	e := &b.entries[i]
	bad := func(rule, format string, args ...any) ([]byte, error) {
		return nil, &Error{File: clipName(e.name), Rule: rule, Message: fmt.Sprintf(format, args...)}
	}
	const encrypted = 1<<0 | 1<<6 | 1<<13
	most, known := fileLimit(e.name)
	switch {
	case !isEntryName(e.name):
		return bad("entry_name", "is not the plain name of a file")
	case slices.ContainsFunc(b.entries[:i], func(o entry) bool { return strings.EqualFold(o.name, e.name) }):
		return bad("entry_duplicate", "is there twice, letter case aside")
	case !isRegular(e):
		return bad("entry_not_regular", "is not a regular file")
	case e.flags&encrypted != 0:
		return bad("entry_encrypted", "is encrypted")
	case !known:
		return nil, unexpected(e.name)
	case e.method != stored && e.method != deflated:
		return bad("entry_method", "is packed by method %d: only 0 (stored) and 8 (deflate) are allowed", e.method)
	case e.unpacked > int64(most):
		return nil, tooLarge(e.name, most)
	}
	data, end, err := b.localData(e)
	if err != nil {
		return nil, err
	}
	content, err := unpack(e, data)
	if err != nil {
		return nil, err
	}
	if err := b.afterData(e, end); err != nil {
		return nil, err
	}
	return content, nil
}

const stored, deflated = 0, 8

// isEntryName refuses every name that could mean another place than one file of
// that name, on any system. A final slash says directory, which is judged next.
func isEntryName(name string) bool {
	if !utf8.ValidString(name) || strings.ContainsAny(name, "\\:\x00") {
		return false
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(name, "/"), "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

func isRegular(e *entry) bool {
	const (
		dosDirectory = 0x10
		unixType     = 0o170000
		unixRegular  = 0o100000
	)
	kind := e.attributes >> 16 & unixType
	return !strings.HasSuffix(e.name, "/") && e.attributes&dosDirectory == 0 && (kind == 0 || kind == unixRegular)
}

// descriptor says, as a flag, that sizes and CRC-32 follow the data.
const descriptor = 1 << 3

// localData checks the header in front of the data against the directory. end is
// where the data ends.
func (b *bundle) localData(e *entry) (data io.Reader, end int64, err error) {
	mismatch := &Error{File: e.name, Rule: "entry_header_mismatch", Message: "the header of the file and the directory of the archive differ"}
	if e.at+localSize > b.dirAt {
		return nil, 0, mismatch
	}
	h, err := b.bytes(e.at, localSize)
	if err != nil {
		return nil, 0, err
	}
	u16 := func(i int) uint16 { return binary.LittleEndian.Uint16(h[i:]) }
	u32 := func(i int) int64 { return int64(binary.LittleEndian.Uint32(h[i:])) }
	nameLen, extraLen := int64(u16(26)), int64(u16(28))
	dataAt := e.at + localSize + nameLen + extraLen
	if string(h[:4]) != localSign || u16(8) != e.method || nameLen != int64(len(e.name)) || dataAt > b.dirAt {
		return nil, 0, mismatch
	}
	name, err := b.bytes(e.at+localSize, nameLen)
	if err != nil {
		return nil, 0, err
	}
	packed, unpacked := u32(18), u32(22)
	later := u16(6)&descriptor != 0 && packed == 0 && unpacked == 0 // the sizes follow the data
	sameSizes := packed == e.packed && unpacked == e.unpacked
	if string(name) != e.name || u16(6)&1 != 0 || !later && !sameSizes {
		return nil, 0, mismatch
	}
	end = dataAt + e.packed
	if end > b.next(e) {
		return nil, 0, &Error{File: e.name, Rule: "entry_checksum", Message: "its data does not fit into the archive"}
	}
	return io.NewSectionReader(b.r, dataAt, e.packed), end, nil
}

// next is where the entry behind e begins, or the directory.
func (b *bundle) next(e *entry) int64 {
	next := b.dirAt
	for _, o := range b.entries {
		if o.at > e.at {
			next = min(next, o.at)
		}
	}
	return next
}

// afterData checks what stands between the data of e, which ends at end, and the
// next entry: the descriptor if the directory promises one, and nothing else.
// Some readers believe it, some the directory.
func (b *bundle) afterData(e *entry, end int64) error {
	room := b.next(e) - end
	if e.flags&descriptor == 0 {
		if room != 0 {
			return &Error{File: e.name, Rule: "entry_checksum", Message: fmt.Sprintf("is followed by %d bytes that the directory does not know of", room)}
		}
		return nil
	}
	le := binary.LittleEndian
	crc := le.AppendUint32(nil, e.crc)
	short := slices.Concat(crc, le.AppendUint32(le.AppendUint32(nil, uint32(e.packed)), uint32(e.unpacked)))
	long := slices.Concat(crc, le.AppendUint64(le.AppendUint64(nil, uint64(e.packed)), uint64(e.unpacked)))
	if room > int64(len(descriptorSign)+len(long)) {
		return &Error{File: e.name, Rule: "entry_checksum", Message: fmt.Sprintf("is followed by %d bytes where %d would do", room, len(descriptorSign)+len(short))}
	}
	after, err := b.bytes(end, room)
	if err != nil {
		return err
	}
	// The signature in front is optional, and sizes may have 4 or 8 bytes.
	after = bytes.TrimPrefix(after, []byte(descriptorSign))
	if !bytes.Equal(after, short) && !bytes.Equal(after, long) {
		return &Error{File: e.name, Rule: "entry_header_mismatch", Message: "the descriptor behind the file and the directory of the archive differ"}
	}
	return nil
}

// unpack reads at most one byte more than the entry declares.
func unpack(e *entry, data io.Reader) ([]byte, error) {
	damaged := func(format string, args ...any) error {
		return &Error{File: e.name, Rule: "entry_checksum", Message: fmt.Sprintf(format, args...)}
	}
	packed := bufio.NewReader(data)
	var r io.Reader = packed
	if e.method == deflated {
		f := flate.NewReader(packed)
		defer f.Close() // a decompressor holds nothing that could fail
		r = f
	}
	content, err := limits.ReadAll(r, limits.Bytes(e.unpacked))
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, limits.ErrExceeded):
		return nil, damaged("is longer than the %d bytes it declares", e.unpacked)
	case errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, damaged("its data is damaged: %v", err)
	case err != nil:
		return nil, fmt.Errorf("manifest: reading %s: %w", e.name, err)
	case int64(len(content)) != e.unpacked:
		return nil, damaged("has %d bytes, not the %d it declares", len(content), e.unpacked)
	case crc32.ChecksumIEEE(content) != e.crc:
		return nil, damaged("its data does not match its CRC-32")
	}
	if _, err := packed.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, damaged("has data after its end")
	}
	return content, nil
}

// bytes reads n bytes at off; n is bounded by the size of the bundle.
func (b *bundle) bytes(off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || n > b.size || off > b.size-n {
		return nil, container("bundle_not_zip", "is damaged: a part of it lies outside")
	}
	buf := make([]byte, n)
	switch _, err := io.ReadFull(io.NewSectionReader(b.r, off, n), buf); {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, container("bundle_not_zip", "is cut short")
	case err != nil:
		return nil, fmt.Errorf("manifest: reading the bundle: %w", err)
	}
	return buf, nil
}

// clipName is the name of an entry in a message.
func clipName(name string) string {
	if len(name) <= maxShown && isEntryName(name) && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return name
	}
	return clip(name)
}
