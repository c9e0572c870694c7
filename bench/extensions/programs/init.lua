return require "extension"
