;; hostile: writes terminal sequences everywhere a check can write.
;; Build: wat2wasm plugin.wat -o plugin.wasm
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "env" "log" (func $log (param i32 i32 i32)))
  (import "env" "submit_result" (func $submit_result (param i32 i32) (result i32)))
  (import "env" "no\1b[31mname" (func $unknown))
  (memory (export "memory") 1)
  (data (i32.const 16) "log \1b[2Jline\c2\9b31m\0aforged")
  (data (i32.const 128) "\1b]0;owned\07stderr\c2\9b2J\0a")
  (data (i32.const 256) "\80\00\00\00\15\00\00\00")
  (data (i32.const 1024) "{\22status\22:\22WARNING\22,\22summary\22:\22\5cu001b[31mred\5cu001b[0m \c2\9b2J\5cu202e\7fsummary\5cnUNKNOWN: forged\22,\22details\22:\22\5cu001b]0;owned\5cu0007title\5cnrun\5cn  ended        forged\5cr\5cu009b1A\22,\22labels\22:{\22key\5cu001b[5m\22:\22value\c2\9d0;x\c2\9c\22},\22metrics\22:[{\22name\22:\22m\5cu001b[7m\5cnforged\22,\22unit\22:\22u\c2\90q\c2\9c\22,\22value\22:1}],\22vendor\22:{\22raw\22:\22\c2\9b31m\22},\22events\22:[{\22message\22:\22\5cu001b[1m\c2\9b\22}]}")
  (func (export "run_check")
    (call $log (i32.const 1) (i32.const 16) (i32.const 24))
    (drop (call $fd_write (i32.const 2) (i32.const 256) (i32.const 1) (i32.const 264)))
    (drop (call $submit_result (i32.const 1024) (i32.const 338)))))
