#include "tests/conversation/gate.h"

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

namespace ninep::test {

using io::Task;

// ------------------------------------------------------------------ the gate

Gate::Pipe::Pipe() {
  int ends[2];
  NINEP_CHECK(::pipe2(ends, O_CLOEXEC) == 0);
  in = ends[0];
  out = ends[1];
}
Gate::Pipe::~Pipe() { ::close(out); }

void Gate::hold(const std::string& call, bool interruptible) {
  const std::lock_guard lock(mutex_);
  held_.insert(call);
  if (interruptible) interruptible_.insert(call);
}

void Gate::open() {
  const std::lock_guard lock(mutex_);
  held_.clear();
  interruptible_.clear();
}

void Gate::wait_for(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_.size() == count; });
}

void Gate::release() {
  const std::lock_guard lock(mutex_);
  NINEP_CHECK(!waiting_.empty());
  NINEP_CHECK(::write(waiting_.front()->out, "", 1) == 1);
  waiting_.pop_front();
}

void Gate::release_all() {
  const std::lock_guard lock(mutex_);
  for (const auto& pipe : waiting_) NINEP_CHECK(::write(pipe->out, "", 1) == 1);
  waiting_.clear();
}

std::shared_ptr<Gate::Pipe> Gate::join(const char* call) {
  const std::lock_guard lock(mutex_);
  if (!held_.contains(call)) return nullptr;
  auto pipe = std::make_shared<Pipe>();
  pipe->interruptible = interruptible_.contains(call);
  waiting_.push_back(pipe);
  changed_.notify_all();
  return pipe;
}

void Gate::leave(const std::shared_ptr<Pipe>& pipe) {
  const std::lock_guard lock(mutex_);
  std::erase(waiting_, pipe);
  changed_.notify_all();
}

Task<bool> Gate::enter(fs::Context& ctx, const char* call) {
  const std::shared_ptr<Pipe> pipe = join(call);
  if (!pipe) co_return true;
  std::byte told;
  io::Op reading = io::ops::recv(pipe->in, true, {&told, 1});
  int size;
  if (pipe->interruptible) {
    size = co_await ctx.run(reading);
  } else {
    size = co_await ctx.loop().run(reading);
  }
  leave(pipe);
  co_await ctx.loop().run(io::ops::close(io::Sleep::kNever, pipe->in));
  co_return size == 1;
}

// ------------------------------------------------------------------ the tree behind it

namespace {

class GatedFile final : public fs::File {
 public:
  GatedFile(Ref<fs::File> inner, Gate& gate) : inner_(std::move(inner)), gate_(gate) {}

  Task<Result<U32>> read(fs::Context& ctx, std::span<const iovec> to, U64 offset) override {
    auto entering = gate_.enter(ctx, "read");
    if (!co_await entering) co_return fail(EINTR);
    auto reading = inner_->read(ctx, to, offset);
    const auto size = co_await reading;
    auto leaving = gate_.enter(ctx, "read done");
    if (!co_await leaving) co_return fail(EINTR);
    co_return size;
  }
  Task<Result<U32>> write(fs::Context& ctx, std::span<const iovec> from, U64 offset) override {
    auto entering = gate_.enter(ctx, "write");
    if (!co_await entering) co_return fail(EINTR);
    auto writing = inner_->write(ctx, from, offset);
    co_return co_await writing;
  }
  Task<Result<U32>> readdir(fs::Context& ctx, Room room, U64 offset) override {
    auto entering = gate_.enter(ctx, "readdir");
    if (!co_await entering) co_return fail(EINTR);
    auto listing = inner_->readdir(ctx, room, offset);
    co_return co_await listing;
  }
  Task<Status> sync(fs::Context& ctx, bool data_only) override {
    auto entering = gate_.enter(ctx, "sync");
    if (!co_await entering) co_return fail(EINTR);
    auto syncing = inner_->sync(ctx, data_only);
    co_return co_await syncing;
  }

 private:
  const Ref<fs::File> inner_;
  Gate& gate_;
};

class GatedNode final : public fs::Node {
 public:
  GatedNode(Ref<fs::Node> inner, Gate& gate) : inner_(std::move(inner)), gate_(gate) {}

  Qid qid() const override { return inner_->qid(); }
  Task<Result<Ref<fs::Node>>> clone(fs::Context& ctx) override {
    auto entering = gate_.enter(ctx, "clone");
    if (!co_await entering) co_return fail(EINTR);
    co_return Ref<fs::Node>(this);
  }
  Task<Result<Ref<fs::Node>>> walk(fs::Context& ctx, Str name) override {
    auto entering = gate_.enter(ctx, "walk");
    if (!co_await entering) co_return fail(EINTR);
    auto walking = inner_->walk(ctx, name);
    auto node = co_await walking;
    NINEP_CO_RETURN_IF_ERROR(node);
    co_return Ref<fs::Node>(make_ref<GatedNode>(std::move(*node), gate_));
  }
  Task<Result<Rgetattr>> getattr(fs::Context& ctx, U64 request_mask, fs::File*) override {
    auto entering = gate_.enter(ctx, "getattr");
    if (!co_await entering) co_return fail(EINTR);
    auto asking = inner_->getattr(ctx, request_mask, nullptr);
    co_return co_await asking;
  }
  Task<Status> setattr(fs::Context& ctx, const Tsetattr& to, fs::File*) override {
    auto entering = gate_.enter(ctx, "setattr");
    if (!co_await entering) co_return fail(EINTR);
    auto setting = inner_->setattr(ctx, to, nullptr);
    co_return co_await setting;
  }
  Task<Result<Rstatfs>> statfs(fs::Context& ctx) override { return inner_->statfs(ctx); }
  Task<Result<Ref<fs::File>>> open(fs::Context& ctx, U32 flags) override {
    auto entering = gate_.enter(ctx, "open");
    if (!co_await entering) co_return fail(EINTR);
    auto opening = inner_->open(ctx, flags);
    auto file = co_await opening;
    NINEP_CO_RETURN_IF_ERROR(file);
    co_return Ref<fs::File>(make_ref<GatedFile>(std::move(*file), gate_));
  }
  Task<Result<fs::Created>> create(fs::Context& ctx, Str name, U32 flags, U32 mode,
                                   U32 gid) override {
    auto entering = gate_.enter(ctx, "create");
    if (!co_await entering) co_return fail(EINTR);
    auto creating = inner_->create(ctx, name, flags, mode, gid);
    auto created = co_await creating;
    NINEP_CO_RETURN_IF_ERROR(created);
    co_return fs::Created{make_ref<GatedNode>(std::move(created->node), gate_),
                          make_ref<GatedFile>(std::move(created->file), gate_)};
  }
  Task<Result<Qid>> mkdir(fs::Context& ctx, Str name, U32 mode, U32 gid) override {
    auto entering = gate_.enter(ctx, "mkdir");
    if (!co_await entering) co_return fail(EINTR);
    auto making = inner_->mkdir(ctx, name, mode, gid);
    auto qid = co_await making;
    NINEP_CO_RETURN_IF_ERROR(qid);
    ctx.commit();
    auto leaving = gate_.enter(ctx, "mkdir done");
    if (!co_await leaving) co_return fail(EINTR);
    co_return *qid;
  }
  Task<Status> remove_self(fs::Context& ctx) override {
    auto entering = gate_.enter(ctx, "remove_self");
    if (!co_await entering) co_return fail(EINTR);
    auto removing = inner_->remove_self(ctx);
    co_return co_await removing;
  }
  Task<Result<std::vector<std::byte>>> getxattr(fs::Context& ctx, Str name) override {
    auto entering = gate_.enter(ctx, "getxattr");
    if (!co_await entering) co_return fail(EINTR);
    auto reading = inner_->getxattr(ctx, name);
    co_return co_await reading;
  }
  Task<Status> setxattr(fs::Context& ctx, Str name, Bytes value, U32 flags) override {
    auto entering = gate_.enter(ctx, "setxattr");
    if (!co_await entering) co_return fail(EINTR);
    auto setting = inner_->setxattr(ctx, name, value, flags);
    co_return co_await setting;
  }

 private:
  const Ref<fs::Node> inner_;
  Gate& gate_;
};

class GatedTree final : public fs::Tree {
 public:
  GatedTree(std::shared_ptr<fs::Tree> inner, Gate& gate) : inner_(std::move(inner)), gate_(gate) {}

  Task<Result<Ref<fs::Node>>> attach(fs::Context& ctx, Str aname) override {
    auto entering = gate_.enter(ctx, "attach");
    if (!co_await entering) co_return fail(EINTR);
    auto attaching = inner_->attach(ctx, aname);
    auto node = co_await attaching;
    NINEP_CO_RETURN_IF_ERROR(node);
    co_return Ref<fs::Node>(make_ref<GatedNode>(std::move(*node), gate_));
  }

 private:
  const std::shared_ptr<fs::Tree> inner_;
  Gate& gate_;
};

}  // namespace

std::shared_ptr<fs::Tree> make_gated_tree(std::shared_ptr<fs::Tree> inner, Gate& gate) {
  return std::make_shared<GatedTree>(std::move(inner), gate);
}

}  // namespace ninep::test
