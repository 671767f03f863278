package manifest

import "testing"

func TestURI(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"http://foo.bar/?baz=qux#quux": true, "http://foo.com/blah_(wikipedia)_blah#cite-1": true,
		"http://foo.bar/?q=Test%20URL-encoded%20stuff": true, "http://xn--nw2a.xn--j6w193g/": true,
		"http://-.~_!$&'()*+,;=:%40:80%2f::::::@example.com": true, "http://223.255.255.254": true,
		"ldap://[2001:db8::7]/c=GB?objectClass?one": true, "mailto:John.Doe@example.com": true, "tel:+1-816-555-1212": true,
		"urn:oasis:names:specification:docbook:dtd:xml:4.1.2": true, "http://h:": true, "http://h:8080/": true,
		"file:///etc/hosts": true, "a:": true, "http://[v1.fe80::a+en1]/": true, "http://[::ffff:1.2.3.4]": true,
		"//foo.bar/?baz=qux#quux": false, "/abc": false, `\\WINDOWS\fileshare`: false, "abc": false, "": false,
		"http:// shouldfail.com": false, ":// should fail": false, "bar,baz:scheme": false, "1http://x": false,
		"https://[@example.org/test.txt": false, `https://example.org/foobar\.txt`: false,
		"https://example.org/foobar<>.txt": false, "https://example.org/foobar{}.txt": false,
		"https://example.org/foobar^.txt": false, "https://example.org/foobar`.txt": false,
		"https://example.org/foo bar.txt": false, "https://example.org/foobar|.txt": false,
		"http://example.com/%": false, "http://example.com/%g0": false, "http://exämple.com/": false,
		"http://h:80a/": false, "http://[::1": false, "http://[fe80::1%25eth0]/": false, "http://[1.2.3.4]/": false,
		"http://a#b#c": false, "http://a@b@c/": false, "http://x/\n": false,
	} {
		if got := isURI(s); got != want {
			t.Errorf("isURI(%q) = %v, want %v", s, got, want)
		}
	}
}

func TestEmail(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"joe.bloggs@example.com": true, "te~st@example.com": true, "~test@example.com": true, "a@b": true,
		`"joe bloggs"@example.com`: true, `"joe..bloggs"@example.com`: true, `"joe@bloggs"@example.com`: true, `"a\"b"@c.d`: true,
		"joe.bloggs@[127.0.0.1]": true, "joe.bloggs@[IPv6:::1]": true,
		"2962": false, "": false, "@": false, "a@": false, "@b": false, ".test@example.com": false, "test.@example.com": false,
		"te..st@example.com": false, "joe.bloggs@invalid=domain.com": false, "joe.bloggs@[127.0.0.300]": false,
		"joe@[IPv6:127.0.0.1]": false, "joe@[::1]": false, "a b@c": false, "Joe <joe@example.com>": false, "a@b..c": false,
		"a@-b": false, `"a"b"@c`: false, `"a\"@c`: false, "é@example.com": false,
	} {
		if got := isEmail(s); got != want {
			t.Errorf("isEmail(%q) = %v, want %v", s, got, want)
		}
	}
}
