"""Not transformers: what the documents' server.py and recipes.py use of it, over the stand-in for PyTorch. A model is one
allocation of REHEARSAL_MODEL bytes; each token adds one to every word of it. An answer is the prompt, and whether every
word of the model is as it must be."""

import os

import torch


class _Asked(dict):
    def to(self, _):
        return self


class AutoTokenizer:
    @classmethod
    def from_pretrained(cls, _):
        return cls()

    def __call__(self, prompt, return_tensors):
        return _Asked(input_ids=prompt)

    def decode(self, answer, skip_special_tokens):
        return answer


class AutoModelForCausalLM:
    @classmethod
    def from_pretrained(cls, name, dtype):
        assert name, dtype
        return cls()

    def to(self, device):
        self.weights = torch.zeros(int(os.environ["REHEARSAL_MODEL"]) // 4, device=device)
        self.tokens = 0
        return self

    def generate(self, input_ids, max_new_tokens, do_sample):
        self.weights.add_(max_new_tokens)
        self.tokens += max_new_tokens
        torch.cuda.synchronize()
        right = bool((self.weights == self.tokens).all())
        return [f"{input_ids} and {'right' if right else 'wrong'}\n"]
