#include "client/dump/layout.h"

#include <vector>

#include "client/dump/json.h"

namespace ninep {
namespace {

constexpr Dialects kEach[] = {k9P2000, kDotU, kDotL};

// ------------------------------------------------------------------ layouts

void append(std::string& out, const auto&... parts) { ((out += parts), ...); }

// Appends " name[size]", as each field type looks.
template <Described M>
void layout_fields(std::string& out, Dialects d);

template <Integer T>
void layout(std::string& out, Str name, const T&, Dialects) {
  append(out, " ", name, "[", std::to_string(sizeof(T)), "]");
}
void layout(std::string& out, Str name, const Str&, Dialects) { append(out, " ", name, "[s]"); }
void layout(std::string& out, Str name, const Qid&, Dialects) { append(out, " ", name, "[13]"); }
void layout(std::string& out, Str name, const Payload&, Dialects) {
  append(out, " count[4] ", name, "[count]");
}
void layout(std::string& out, Str, const Attr&, Dialects d) { layout_fields<Attr>(out, d); }
template <bool must_agree>
void layout(std::string& out, Str name, const Counted<must_agree>&, Dialects) {
  append(out, " n", name, "[2] ", name, "[n", name, "]");
}
template <Dialects set, class T, Dialects lax>
void layout(std::string& out, Str name, const Only<set, T, lax>& only, Dialects d) {
  if (!has(set, d)) return;
  layout(out, name, only.value, d);
  if (has(lax, d)) out += '?';
}
template <class T, U16 N>
void layout(std::string& out, Str name, const List<T, N>&, Dialects d) {
  std::string item;
  layout(item, name, T{}, d);
  append(out, " n", name, "[2] n", name, "*(", item.substr(1), ")");
}

template <Described M>
void layout_fields(std::string& out, Dialects d) {
  const M m{};
  each_field<M>([&](const auto& field) { layout(out, field.name, m.*field.at, d); });
}

template <Described M>
std::string layout_of(Dialects d) {
  std::string out;
  if constexpr (Message<M>) {
    append(out, "size[4] ", Describe<M>::name, " tag[2]");
  } else if constexpr (std::same_as<M, Stat>) {
    out += "size[2]";
  }
  layout_fields<M>(out, d);
  return out.starts_with(' ') ? out.substr(1) : out;
}

Str letter(Dialects d) { return d == kDotL ? "L" : d == kDotU ? "u" : "2"; }

/// One row for each layout that M has, with the dialects that share it.
template <Described M>
void rows(std::string& out, Str first_column, Dialects spoken) {
  struct Row {
    std::string dialects, layout;
  };
  std::vector<Row> rows;
  for (const Dialects d : kEach) {
    if (!has(spoken, d)) continue;
    std::string text = layout_of<M>(d);
    if (rows.empty() || rows.back().layout != text) rows.push_back({"", std::move(text)});
    rows.back().dialects += letter(d);
  }
  for (const Row& row : rows)
    append(out, "| ", first_column, " | ", row.dialects, " | `", row.layout, "` |\n");
}

// ------------------------------------------------------------------ dictionary

void entry(std::string& out, const std::string& name, Bytes bytes) {
  append(out, name, "=\"");
  for (const std::byte& b : bytes) append(out, "\\x", to_hex(Bytes(&b, 1)));
  out += "\"\n";
}

template <Integer T>
void number(std::string& out, const std::string& name, T value) {
  entry(out, name, std::as_bytes(std::span(&value, 1)));
}

}  // namespace

std::string layouts() {
  std::string out = "| no | in | message |\n|---|---|---|\n";
  each_message(
      [&]<class M>() { rows<M>(out, std::to_string(Describe<M>::code), Describe<M>::dialects); });
  out += "\n| type | in | layout |\n|---|---|---|\n";
  rows<Qid>(out, "qid", kAny);
  rows<Stat>(out, "stat", kOld);
  rows<Dirent>(out, "dirent", kDotL);
  return out;
}

std::string dictionary() {
  std::string out =
      "# Made by `9pdump --dictionary` from proto/messages.h: don't edit.\n"
      "# Heads of the smallest frames: size[4] type[1] tag[2].\n";
  each_message([&]<class M>() {
    std::size_t last = 0;
    for (const Dialects d : kEach) {
      const std::size_t size = frame_size(M{}, d);
      if (!has(Describe<M>::dialects, d) || size == last) continue;
      last = size;
      std::byte head[kHeaderSize];
      Writer writer(head, d);
      put_fields(writer, Header{static_cast<U32>(size), Describe<M>::code, Tag{0}});
      entry(out, Describe<M>::name + ("_" + std::to_string(size)), head);
    }
  });
  out += "# Values with a meaning, and limits.\n";
  for (const Dialects d : kEach) {
    std::string name = "version_";
    name += letter(d);
    entry(out, name, as_bytes(dialect_name(d)));
  }
  number(out, "nofid", kNoFid);
  number(out, "notag", kNoTag);
  number(out, "names_max", static_cast<U16>(kWalkNamesMax));
  number(out, "names_too_many", static_cast<U16>(kWalkNamesMax + 1));
  number(out, "offset_max", ~U64{0});
  return out;
}

}  // namespace ninep
