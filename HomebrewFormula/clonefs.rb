# SPDX-License-Identifier: Apache-2.0

# Homebrew's recipe. This repository is its own tap, and is what gets built:
#
#   brew tap clonefs/clonefs /path/or/url/of/this/repository
#   brew install --HEAD clonefs/clonefs/clonefs
class Clonefs < Formula
  desc "Storage daemon for stock containerd: snapshots as copy-on-write clones"
  license "Apache-2.0"
  head "file://#{File.expand_path("..", __dir__)}", using: :git, branch: "main"

  depends_on "pkgconf" => :build
  depends_on "protobuf" => :build
  depends_on "grpc"
  depends_on "libarchive"
  depends_on "lmdb"
  depends_on macos: :ventura
  depends_on "pcre2"
  depends_on "protobuf-c"
  depends_on "zstd"
  uses_from_macos "zlib"

  def install
    system "make", "PREFIX=#{prefix}"
    system "make", "install", "PREFIX=#{prefix}"
    (etc/"clonefs").install "config/clonefsd.toml"
  end

  def caveats
    <<~EOS
      The store needs a volume of its own, which this makes:
        sudo #{opt_sbin}/clonefs-make-volume
      Then:
        sudo brew services start clonefs
      What to tell containerd: #{opt_share}/clonefs/containerd-macos-2.x.toml and -1.7.toml
    EOS
  end

  # The store is there as soon as its volume is mounted. The daemon raises its limit of descriptors by itself.
  service do
    run ["/bin/sh", "-c", 'root=$1; shift; /bin/wait4path "$root" && exec "$@" --root "$root"', "sh",
         "/private/var/db/clonefs/store", opt_sbin/"clonefsd", "--config", etc/"clonefs/clonefsd.toml",
         "--address", "/var/run/clonefs/clonefs.sock"]
    require_root true
    keep_alive successful_exit: false
    process_type :interactive
    error_log_path var/"log/clonefsd.log"
  end

  test do
    assert_match "clonefsd", shell_output("#{sbin}/clonefsd --version")
    assert_match "a file is cloned by one call", shell_output("#{sbin}/clonefsd --probe #{testpath}")
    assert_match "addVolume", shell_output("#{sbin}/clonefs-make-volume --dry-run")
  end
end
