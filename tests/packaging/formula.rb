# SPDX-License-Identifier: Apache-2.0
# Evaluates the formula named on the command line with stand-ins for Homebrew's words, and prints as lines of a shell
# what its service runs.
require "shellwords"

class Words
  def self.opt_sbin = "/opt/sbin/"
  def self.etc = "/etc/"
  def self.var = "/var/"
  def self.test = nil # else it is that of Kernel

  class << self
    attr_reader :said

    def method_missing(word, *values, **options, &block)
      ((@said ||= {})[word] ||= []) << (values.length > 1 ? values : values.first || options)
      instance_eval(&block) if word == :service
      nil
    end

    def respond_to_missing?(*) = true
  end
end

class String
  def /(other) = File.join(self, other)
end

class Formula < Words
end

load ARGV.fetch(0)
said = Clonefs.said
run = said.fetch(:run).first
puts "FORMULA_COMMAND=#{run.fetch(2).shellescape}"
puts "FORMULA_ROOT=#{run.fetch(4)}"
puts "FORMULA_ADDRESS=#{run.fetch(run.index("--address") + 1)}"
puts "FORMULA_KEEPS_ALIVE=#{said.fetch(:keep_alive).first == { successful_exit: false }}"
puts "FORMULA_PROCESS_TYPE=#{said.fetch(:process_type).first}"
puts "FORMULA_NEEDS_ROOT=#{said.fetch(:require_root).first}"
puts "FORMULA_LIBRARIES=#{said.fetch(:depends_on).grep(String).sort.join(",")}"
