// Host loop of an early-exit network in TensorFlow Lite for Microcontrollers, written by edanas.
//
// `Classify` runs a segment, decides, and stops at the first exit that is confident enough. `main` classifies
// a file with one sample: kHeight rows of kWidth pixels of kChannels bytes, or a series of kWidth times kChannels
// floats, resampled to kWidth. On a device, replace `main`, and give `Classify` the values of camera or sensor.
// You may copy and change this file.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>

#include "NETWORK_HEADER"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace network {

struct Prediction {
  int label;
  int exit;
  float confidence;
};

namespace {

constexpr int kValues = kHeight * kWidth * kChannels;  // of a sample

alignas(16) uint8_t arena[kArena];
alignas(tflite::MicroInterpreter) uint8_t places[kSegments][sizeof(tflite::MicroInterpreter)];
tflite::MicroInterpreter* interpreters[kSegments];
float answers[kSegments][kClasses];  // class probabilities at each exit, after the inference rule
float logits[kSegments][kClasses];   // class probabilities at each exit alone

void Softmax(float* values) {
  float largest = values[0], sum = 0.0f;
  for (int k = 1; k < kClasses; ++k) largest = std::fmax(largest, values[k]);
  for (int k = 0; k < kClasses; ++k) sum += values[k] = std::exp(values[k] - largest);
  for (int k = 0; k < kClasses; ++k) values[k] /= sum;
}

int Largest(const float* values) {
  int best = 0;
  for (int k = 1; k < kClasses; ++k) {
    if (values[k] > values[best]) best = k;
  }
  return best;
}

// Computes answers[at] from logits[0] to logits[at], which are class probabilities.
void Answer(int at) {
  std::memcpy(answers[at], logits[at], sizeof(answers[at]));
  if (kRule == Rule::kEarlyStop) return;
  float total = 0.0f;
  for (int n = 0; n <= at; ++n) total += kShares[n];
  for (int k = 0; k < kClasses; ++k) {
    float sum = 0.0f;
    for (int n = 0; n <= at; ++n) {
      sum += kRule == Rule::kMeanLogit ? std::log(logits[n][k]) / static_cast<float>(at + 1)
                                       : kShares[n] * logits[n][k] / total;
    }
    answers[at][k] = sum;
  }
  if (kRule == Rule::kMeanLogit) Softmax(answers[at]);
}

float Confidence(int at) {
  const float* values = answers[at];
  const int best = Largest(values);
  if (kCriterion == Criterion::kPatience) {
    int equal = 1;
    while (equal <= at && Largest(answers[at - equal]) == best) ++equal;
    return std::fmin(1.0f, static_cast<float>(equal) / kAgreeing);
  }
  if (kCriterion == Criterion::kMaxProbability || kClasses == 1) return values[best];
  if (kCriterion == Criterion::kScoreMargin) {
    float second = 0.0f;
    for (int k = 0; k < kClasses; ++k) {
      if (k != best) second = std::fmax(second, values[k]);
    }
    return values[best] - second;
  }
  float entropy = 0.0f;
  for (int k = 0; k < kClasses; ++k) {
    if (values[k] > 0.0f) entropy -= values[k] * std::log(values[k]);
  }
  return std::fmin(1.0f, std::fmax(0.0f, 1.0f - entropy / std::log(static_cast<float>(kClasses))));
}

// Copies the values of a sample into the first segment's input, normalised if they are a series.
void SetSample(const Value* sample, TfLiteTensor* input) {
  for (int n = 0; n < kValues; ++n) {
    const float value = (static_cast<float>(sample[n]) - kMean[n % kChannels]) / kDeviation[n % kChannels];
    if (input->type == kTfLiteInt8) {
      const float number = std::rint(value / input->params.scale) + static_cast<float>(input->params.zero_point);
      input->data.int8[n] = static_cast<int8_t>(std::fmin(127.0f, std::fmax(-128.0f, number)));
    } else {
      input->data.f[n] = value;
    }
  }
}

void ReadLogits(const TfLiteTensor* output, float* values) {
  for (int k = 0; k < kClasses; ++k) {
    values[k] = output->type == kTfLiteInt8
                    ? output->params.scale * static_cast<float>(output->data.int8[k] - output->params.zero_point)
                    : output->data.f[k];
  }
  Softmax(values);
}

}  // namespace

// Prepares the interpreters; false if the memory does not suffice or an operator is missing.
bool Prepare() {
  static Resolver resolver;
  RegisterOperators(&resolver);
  tflite::MicroAllocator* allocator = tflite::MicroAllocator::Create(arena, kArena);
  for (int n = 0; n < kSegments; ++n) {
    interpreters[n] = new (places[n])
        tflite::MicroInterpreter(tflite::GetModel(kSegment[n].model), resolver, allocator);
    if (interpreters[n]->AllocateTensors() != kTfLiteOk) return false;
  }
  return true;
}

// Classifies a sample: kHeight x kWidth pixels or positions with kChannels values each. False if the network fails.
bool Classify(const Value* sample, Prediction* prediction) {
  SetSample(sample, interpreters[0]->input(0));
  for (int n = 0; n < kSegments; ++n) {
    if (interpreters[n]->Invoke() != kTfLiteOk) return false;
    const bool last = n + 1 == kSegments;
    ReadLogits(interpreters[n]->output(last ? 0 : 1), logits[n]);
    Answer(n);
    *prediction = {Largest(answers[n]), kSegment[n].exit, Confidence(n)};
    if (last || prediction->confidence >= kSegment[n].threshold) return true;
    // The segments share memory, in which tensors may overlap, so the move must permit that.
    const TfLiteTensor* features = interpreters[n]->output(0);
    std::memmove(interpreters[n + 1]->input(0)->data.raw, features->data.raw, features->bytes);
  }
  return false;
}

}  // namespace network

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: %s SAMPLE (%d x %d x %d values of %d bytes)\n", arguments[0], network::kHeight,
                 network::kWidth, network::kChannels, static_cast<int>(sizeof(network::Value)));
    return 2;
  }
  static network::Value sample[network::kHeight * network::kWidth * network::kChannels];
  std::FILE* file = std::fopen(arguments[1], "rb");
  if (file == nullptr || std::fread(sample, 1, sizeof(sample), file) != sizeof(sample)) {
    std::fprintf(stderr, "%s: is not a sample of %d bytes\n", arguments[1], static_cast<int>(sizeof(sample)));
    return 2;
  }
  std::fclose(file);
  network::Prediction prediction;
  if (!network::Prepare() || !network::Classify(sample, &prediction)) {
    std::fprintf(stderr, "the network cannot run\n");
    return 1;
  }
  std::printf("%s %d %.6f\n", network::kClassNames[prediction.label], prediction.exit + 1, prediction.confidence);
  return 0;
}
