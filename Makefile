# SPDX-License-Identifier: Apache-2.0
#
# make            build/bin/clonefsd
# make demo       installs what is missing (Debian 12, root), builds, shows the main job, cleans up
# make check      installs what is missing (Debian 12, root), builds and runs every test
# make check-clients   newer containerd, dockerd, BuildKit; downloads them into build/clients
# make check-apfs      tests on a real APFS, in a machine in software; downloads its kernel and driver
# make check-darwin    compiles and links the daemon for macOS; needs npm for the compiler
# make test       unit tests          make lint    clang-format, clang-tidy, cppcheck, include arrows
# make bench      table of ratios     make format  clang-format in place
# make fuzz       fuzzers for FUZZ_SECONDS each
# make install    PREFIX=/usr/local DESTDIR=   make clean
#
# BUILD=release|debug|asan|tsan selects build/$(BUILD); release puts its programs into build/bin.
# BUILD=emulated|emulated-asan compiles the sources for macOS against a small emulation of its calls
# (tests/darwin), for tests on Linux.
# V=1 shows the commands. CC, CPPFLAGS, CFLAGS, LDFLAGS are yours.

BUILD ?= release
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
OUT := build/$(BUILD)
GEN := $(OUT)/gen
SYSTEM := $(shell uname -s)
# SHA-2 is in the system's own library on macOS, where Homebrew keeps its libarchive out of sight.
ifeq ($(SYSTEM),Darwin)
PKG_CONFIG ?= PKG_CONFIG_PATH="$$(brew --prefix libarchive)/lib/pkgconfig:$$PKG_CONFIG_PATH" pkg-config
LIBS := grpc libprotobuf-c lmdb libpcre2-8 libarchive libzstd
else
PKG_CONFIG ?= pkg-config
LIBS := grpc libprotobuf-c lmdb libcrypto libpcre2-8 libarchive libzstd
endif
# gzip: ISA-L where it is installed, zlib elsewhere (diff/gzip_isal.c, diff/gzip_zlib.c).
GZIP := $(if $(shell $(PKG_CONFIG) --exists libisal && echo yes),isal,zlib)
LIBS += $(if $(filter isal,$(GZIP)),libisal,zlib)
VERSION := 0.1.0

ifneq ($(V),1)
Q := @
endif

OPT_release := -O2 -g
OPT_debug := -O1 -g -DCLONEFS_FAULTS
OPT_asan := -O1 -g -DCLONEFS_FAULTS -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
OPT_tsan := -O1 -g -DCLONEFS_FAULTS -fsanitize=thread
OPT_emulated := $(OPT_debug)
OPT_emulated-asan := $(OPT_asan)
ifeq ($(OPT_$(BUILD)),)
$(error BUILD=$(BUILD) is not one of release, debug, asan, tsan, emulated, emulated-asan)
endif
EMULATED := $(filter emulated%,$(BUILD))
BIN := $(if $(filter release,$(BUILD)),build/bin,$(OUT)/bin)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wpointer-arith -Wvla -Wwrite-strings -Wformat=2 -Wundef -Wimplicit-fallthrough \
	-Werror=incompatible-pointer-types -Werror=int-conversion -Werror=implicit-function-declaration
LIB_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(LIBS) 2>/dev/null)
LIB_LIBS := $(shell $(PKG_CONFIG) --libs $(LIBS) 2>/dev/null)
BASE_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DCLONEFS_VERSION='"$(VERSION)"' -I. -I$(GEN) \
	-fvisibility=hidden -pthread $(OPT_$(BUILD)) $(LIB_CFLAGS)
COMPILE = $(CC) $(CPPFLAGS) $(AS_DARWIN) $(BASE_CFLAGS) $(WARN) $(CFLAGS) -MMD -MP -c -o $@ $<
LINK = $(CC) $(OPT_$(BUILD)) -pthread $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB_LIBS)

MODULES := base tree store rpc snapshotter content diff
# What differs between systems has a file for each. Under emulation all that touches files is as on
# macOS; what is left of Linux are thin wrappers of threads, clocks, processes and digests, and what
# the configuration says by default.
OTHERS := $(if $(EMULATED)$(filter Darwin,$(SYSTEM)),%_linux.c,%_darwin.c)
LEFT := $(if $(EMULATED),base/clock base/digest base/notify base/process base/thread rpc/peer cmd/clonefsd/defaults)
in_folders = $(filter-out $(OTHERS) $(LEFT:%=%_darwin.c),$(wildcard $(1:%=%/*.c))) \
	$(filter $(1:%=%/%),$(LEFT:%=%_linux.c))
SOURCES := $(filter-out diff/gzip_isal.c diff/gzip_zlib.c,$(call in_folders,$(MODULES))) \
	$(wildcard diff/gzip_$(GZIP).c)
DAEMON_SOURCES := $(call in_folders,cmd/clonefsd)
EMULATION_TESTS := $(if $(EMULATED),$(wildcard tests/darwin/test_*.c))
EMULATION_FIXTURE := $(if $(EMULATED),tests/darwin/fixture.c)
EMULATION := $(if $(EMULATED),$(filter-out $(EMULATION_FIXTURE) $(EMULATION_TESTS),$(wildcard tests/darwin/*.c)))
# Tests of what touches no file are the same under emulation.
SAME := base_config base_digest base_filter base_filter_parse base_labels base_lane base_regexp base_small_calls base_sync_group \
	base_utf8 rpc_call rpc_split rpc_wire diff_encode diff_gzip diff_stream diff_tar_writer
UNIT_SOURCES := $(filter-out $(if $(EMULATED),$(SAME:%=tests/unit/test_%.c)),$(wildcard tests/unit/test_*.c))
UNIT_SUPPORT := $(filter-out tests/unit/test_%.c $(OTHERS),$(wildcard tests/unit/*.c))
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
TOOL_SOURCES := $(wildcard tests/tools/*.c)

# Messages: our .proto files, and protobuf's own well-known types that they use.
PROTO_INCLUDE := $(shell $(PKG_CONFIG) --variable=prefix protobuf 2>/dev/null || echo /usr)/include
PROTOS := $(patsubst proto/%,%,$(wildcard proto/*.proto)) google/protobuf/timestamp.proto \
	google/protobuf/any.proto google/protobuf/empty.proto google/protobuf/field_mask.proto
PROTO_C := $(PROTOS:%.proto=$(GEN)/%.pb-c.c)
PROTO_H := $(PROTO_C:.c=.h)

MODULE_OBJS := $(SOURCES:%.c=$(OUT)/%.o) $(PROTO_C:.c=.o) $(EMULATION:%.c=$(OUT)/%.o)
OBJS := $(MODULE_OBJS) $(DAEMON_SOURCES:%.c=$(OUT)/%.o)
UNIT_TESTS := $(UNIT_SOURCES:tests/unit/%.c=$(OUT)/tests/%) $(EMULATION_TESTS:tests/darwin/%.c=$(OUT)/tests/darwin/%)
FUZZ_TESTS := $(FUZZ_SOURCES:tests/fuzz/%.c=$(OUT)/fuzz/%)
TOOLS := $(TOOL_SOURCES:tests/tools/%.c=$(OUT)/tools/%)

.DELETE_ON_ERROR:
.PHONY: all protos test check check-clients check-apfs check-darwin demo lint format bench fuzz install clean
.SECONDARY:
all: $(BIN)/clonefsd
protos: $(PROTO_H)

$(BIN)/clonefsd: $(OBJS)
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	$(Q)$(LINK)

ifneq ($(EMULATED),)
$(patsubst %.c,$(OUT)/%.o,$(filter-out %_linux.c,$(SOURCES) $(DAEMON_SOURCES)) $(EMULATION_TESTS) \
	$(EMULATION_FIXTURE) tests/unit/test_rpc_client.c tests/unit/raw_peer.c): \
	AS_DARWIN := -Itests/darwin/include -include darwin.h
endif

$(OUT)/%.o: %.c | $(PROTO_H)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(COMPILE)
	@printf '{"directory":"%s","file":"%s","command":"%s"},\n' '$(CURDIR)' '$<' \
	  '$(subst ','\'',$(subst ",\",$(COMPILE)))' > $@.json

$(GEN)/%.pb-c.o: $(GEN)/%.pb-c.c | $(PROTO_H)
	@echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) -w $(CFLAGS) -c -o $@ $<

$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h: proto/%.proto
	@mkdir -p $(GEN)
	$(Q)protoc -Iproto -I$(PROTO_INCLUDE) --c_out=$(GEN) $*.proto
$(GEN)/google/%.pb-c.c $(GEN)/google/%.pb-c.h:
	@mkdir -p $(GEN)
	$(Q)protoc -I$(PROTO_INCLUDE) --c_out=$(GEN) google/$*.proto

compile_commands.json: $(OBJS)
	$(Q){ echo '['; cat $(filter-out $(GEN)/%,$(OBJS:%=%.json)) | sed '$$s/,$$//'; echo ']'; } > $@

# Unit tests link every module and cmocka; each prints its own result.
$(OUT)/tests/%: $(OUT)/tests/unit/%.o $(UNIT_SUPPORT:%.c=$(OUT)/%.o) $(MODULE_OBJS)
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	$(Q)$(LINK) -lcmocka

$(OUT)/tests/darwin/%: $(OUT)/tests/darwin/%.o $(EMULATION_FIXTURE:%.c=$(OUT)/%.o) $(UNIT_SUPPORT:%.c=$(OUT)/%.o) \
	$(MODULE_OBJS)
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	$(Q)$(LINK) -lcmocka

unit-tests: $(UNIT_TESTS)
.PHONY: unit-tests

test: $(UNIT_TESTS) replay
	$(Q)scripts/run-unit-tests $(UNIT_TESTS)

# Programs that tests in other languages call.
$(OUT)/tools/%: $(OUT)/tests/tools/%.o $(MODULE_OBJS)
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	$(Q)$(LINK)

tools: $(TOOLS)
.PHONY: tools

# A fuzzer is a LLVMFuzzerTestOneInput; with FUZZ_ENGINE=1 (clang) it is a libFuzzer program, else a
# program that replays the files named on its command line; `make test` gives it the seeds.
FUZZ_ENGINE ?=
ifneq ($(FUZZ_ENGINE),)
OPT_$(BUILD) += -fsanitize=fuzzer-no-link
FUZZ_MAIN := -fsanitize=fuzzer
else
FUZZ_MAIN := $(OUT)/tests/fuzz/replay.o
endif
$(OUT)/fuzz/%: $(OUT)/tests/fuzz/%.o $(filter %.o,$(FUZZ_MAIN)) $(MODULE_OBJS)
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	$(Q)$(LINK) $(filter -%,$(FUZZ_MAIN))

fuzz-programs: $(FUZZ_TESTS)
.PHONY: fuzz-programs replay
replay: $(FUZZ_TESTS)
	$(Q)for program in $^; do $$program tests/data/$${program##*/} || exit 1; done
fuzz:
	$(Q)scripts/run-fuzzers $(FUZZ_SECONDS)

check:
	$(Q)scripts/check
check-clients:
	$(Q)scripts/install-deps check
	$(Q)$(MAKE) all
	$(Q)tests/integration/clients/run build/bin/clonefsd
check-apfs:
	$(Q)scripts/install-deps check
	$(Q)scripts/install-deps apfs || true
	$(Q)$(MAKE) BUILD=debug all unit-tests
	$(Q)scripts/check-apfs
check-darwin:
	$(Q)scripts/install-deps check
	$(Q)scripts/install-deps darwin || true
	$(Q)scripts/check-darwin
demo:
	$(Q)scripts/demo
bench:
	$(Q)scripts/install-deps bench || true
	$(Q)scripts/bench
lint:
	$(Q)scripts/lint
format:
	$(Q)clang-format-14 -i $$(git ls-files '*.c' '*.h')

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/clonefs
	install -m 0755 build/bin/clonefsd $(DESTDIR)$(PREFIX)/sbin/clonefsd
	install -m 0644 config/* $(DESTDIR)$(PREFIX)/share/clonefs/
	$(if $(filter Darwin,$(shell uname -s)),install -m 0755 packaging/macos/clonefs-make-volume $(DESTDIR)$(PREFIX)/sbin/)

clean:
	rm -rf build compile_commands.json

-include $(OBJS:.o=.d) $(UNIT_SOURCES:%.c=$(OUT)/%.d) $(UNIT_SUPPORT:%.c=$(OUT)/%.d) $(FUZZ_SOURCES:%.c=$(OUT)/%.d) \
	$(TOOL_SOURCES:%.c=$(OUT)/%.d) $(patsubst %.c,$(OUT)/%.d,$(EMULATION) $(EMULATION_FIXTURE) $(EMULATION_TESTS))
