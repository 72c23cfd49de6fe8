// Ref<T>: shared ownership within one thread. The count is an ordinary integer: objects of one loop
// stay on it, and the request path pays for no atomic operation.
#pragma once

#include <concepts>
#include <cstddef>
#include <utility>

#include "proto/types.h"

namespace ninep {

/// Base of what a Ref may hold. Made with one Ref's worth of count by Ref's constructor.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

 protected:
  ~RefCounted() = default;

 private:
  template <class T>
  friend class Ref;
  U32 refs_ = 0;
};

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* object) : object_(object) { retain(); }
  Ref(const Ref& other) : object_(other.object_) { retain(); }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
    requires std::convertible_to<U*, T*>
  Ref(Ref<U> other) : object_(other.leak()) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ && --object_->refs_ == 0) dispose(object_);
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  /// Whether nobody else holds it.
  bool unique() const { return object_ && object_->refs_ == 1; }
  /// Gives the reference up without letting go of the object.
  T* leak() { return std::exchange(object_, nullptr); }

 private:
  void retain() {
    if (object_) ++object_->refs_;
  }
  T* object_ = nullptr;
};

/// What the last Ref does; a type may bring its own (found by argument-dependent look-up).
template <class T>
void dispose(T* object) {
  delete object;
}

template <class T, class... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

}  // namespace ninep
