// Names: where the files are that a client has fids of, so that it finds them again on another
// connection. A file has one place: what is renamed takes all that is below along.
//
// On one executor that runs no two of its handlers at once.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/attributes.h"

namespace ninep::client {

class Names {
  struct Name;

 public:
  /// A place, kept as long as somebody asks for it. Copies are the same place.
  class Place {
   public:
    Place() = default;

    /// `name` in this directory; nobody is asked whether it is there.
    Place child(Str name) const;
    /// ".." of the root is the root.
    Place parent() const;
    /// What is there has this qid.path.
    void has(U64 number) const;
    /// What is there on that connection has it, and this mark: the newest that anybody has seen.
    /// Some file systems give a file another time of birth when it is changed first (overlayfs).
    void has(U64 number, U64 connection, const Mark& mark) const;
    /// That of the file that had it on that connection, one of the last few; none: nobody has seen
    /// one.
    std::optional<Mark> mark(U64 number, U64 connection) const;
    /// From the root; none: the file is gone from there, or a directory above it.
    std::optional<std::vector<std::string>> path() const;
    /// Tells whether it, or a directory above it, was renamed meanwhile: then it is another number.
    U64 moved() const;
    /// Names between it and the root.
    std::size_t depth() const;
    /// For people: "a/b"; "/" is the root.
    std::string text() const;

   private:
    friend class Names;
    explicit Place(std::shared_ptr<Name> name) : name_(std::move(name)) {}
    std::shared_ptr<Name> name_;
  };

  Names();
  Place root() const { return Place(root_); }

  /// The qid.path of what `name` in `directory` is; none: nobody has it.
  static std::optional<U64> number(const Place& directory, Str name);
  /// `name` in `directory` is no more.
  static void removed(const Place& directory, Str name);
  /// It has become `to_name` in `to`; what was there is no more.
  static void renamed(const Place& from, Str name, const Place& to, Str to_name);

 private:
  std::shared_ptr<Name> root_;
};

}  // namespace ninep::client
