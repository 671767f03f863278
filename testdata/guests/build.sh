#!/bin/sh
# build.sh rebuilds every committed plugin.wasm under testdata/packages from
# the sources beside this script, and the table in README.md.
#
#	build.sh         rebuild, rewrite the table, print sizes
#	build.sh check   build into a temporary folder and compare; change nothing
#
# Needed (Debian 12):
#	apt-get install -y --no-install-recommends clang-19 lld-19 wasi-libc \
#	  libclang-rt-19-dev-wasm32 rustc libstd-rust-dev-wasm32 lld-14 wabt
#	Node.js 20 or newer, for npm ci in assembly/
# Other versions of these give other bytes; README.md names the ones used.
set -eu
cd "$(dirname "$0")"
packages=../packages
mode=${1:-build}
case $mode in build|check) ;; *) echo "usage: build.sh [check]" >&2; exit 2 ;; esac

C='clang-19 --target=wasm32-wasi --sysroot=/usr -D_GNU_SOURCE -mexec-model=reactor -Oz -s -Wl,--stack-first'
BARE='clang-19 --target=wasm32-unknown-unknown -nostdlib -Oz -s -Wl,--no-entry -Wl,--stack-first -Wl,-z,stack-size=4096'
RUST='--crate-type cdylib --edition 2021 -C opt-level=z -C lto=fat -C panic=abort -C strip=symbols -C codegen-units=1 -C link-arg=-zstack-size=65536'
WASI="/usr/bin/rustc --target wasm32-wasi $RUST"
UNKNOWN="/usr/bin/rustc --target wasm32-unknown-unknown $RUST"
AS='node_modules/.bin/asc -O3 --shrinkLevel 2 --converge --runtime incremental --use abort='

[ -x assembly/node_modules/.bin/asc ] || (cd assembly && npm ci >/dev/null)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rows=$work/rows
failed=0

# guest NAME FOLDER LANGUAGE COMMAND... SOURCE builds one package's module.
guest() {
	name=$1 folder=$2 language=$3
	shift 3
	(cd "$folder" && "$@" -o "$work/$name.wasm")
	chmod 644 "$work/$name.wasm"
	size=$(wc -c <"$work/$name.wasm" | tr -d ' ')
	sum=$(sha256sum "$work/$name.wasm" | cut -d' ' -f1)
	printf '%-16s %-16s %7d\n' "$name" "$language" "$size"
	printf '| %s | %s | %s | `%s` | `cd %s; %s -o plugin.wasm` |\n' "$name" "$language" "$size" "$sum" "$folder" "$*" >>"$rows"
	if [ "$mode" = check ]; then
		cmp "$work/$name.wasm" "$packages/$name/plugin.wasm" || failed=1
	else
		mv "$work/$name.wasm" "$packages/$name/plugin.wasm"
	fi
}

guest http-check      c        C              $C http-check.c
guest tcp-banner      c        C              $C tcp-banner.c
guest sdk-mimic       c        C              $C sdk-mimic.c
guest small-config    c        'C, no libc'   $BARE small-config.c
guest http-check-rust rust     Rust           $WASI http-check.rs
guest sdk-mimic-rust  rust     'Rust, no WASI' $UNKNOWN sdk-mimic.rs
guest http-check-as   assembly AssemblyScript $AS http-check.ts
guest udp-sender-as   assembly AssemblyScript $AS udp-sender.ts
guest start-submit    assembly AssemblyScript $AS start-submit.ts
for name in alive statsd command import-memory unknown-imports; do
	guest $name wat WAT wat2wasm $name.wat
done

versions=$(
	clang-19 --version | head -n 1
	wasm-ld-19 --version
	/usr/bin/rustc --version
	lld-14 -flavor wasm --version
	printf 'AssemblyScript %s\n' "$(node -p 'require("./assembly/package-lock.json").packages["node_modules/assemblyscript"].version')"
	printf 'wabt %s\n' "$(wat2wasm --version)"
)
printf '%s\n' "$versions"
if [ "$mode" = build ]; then
	{
		sed '/<!-- table/q' README.md
		printf '\n| package | language | bytes | sha256 | build line |\n| --- | --- | --- | --- | --- |\n'
		cat "$rows"
		printf '\nBuilt with:\n\n'
		printf '%s\n' "$versions" | sed 's/^/- /'
	} >"$work/README.md"
	mv "$work/README.md" README.md
	chmod 644 README.md
fi
exit $failed
