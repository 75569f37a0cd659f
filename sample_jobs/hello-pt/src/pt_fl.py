"""Hello PyTorch: the training script of every site."""

from __future__ import annotations

import sys

import fltui.client as flare

try:
    import torch
except ImportError:
    sys.exit("hello-pt needs PyTorch, which is not installed here: pip install torch")

from digits import load_site

SITES = 3
STEPS = 30
BATCH = 32


def network() -> torch.nn.Module:
    """A small convolutional network for images of 8 by 8 pixels."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 4 * 4, 10),
    )


def evaluate(model: torch.nn.Module, images: torch.Tensor, digits: torch.Tensor) -> float:
    """Accuracy."""
    with torch.no_grad():
        return float((model(images).argmax(dim=1) == digits).float().mean())


def train(model: torch.nn.Module, images: torch.Tensor, digits: torch.Tensor) -> None:
    """Some steps of stochastic gradient descent."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(STEPS):
        rows = torch.randint(len(digits), (BATCH,))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images[rows]), digits[rows]).backward()
        optimizer.step()


def main() -> None:
    """Take part in a run."""
    torch.set_num_threads(1)
    flare.init()
    site = int(flare.get_site_name().removeprefix("site-"))
    images, digits, test_images, test_digits = map(torch.from_numpy, load_site(site, SITES, alpha=1))
    images, test_images = images.reshape(-1, 1, 8, 8), test_images.reshape(-1, 1, 8, 8)

    torch.manual_seed(0)  # every site starts from the same network: the job gives no model
    model = network()
    while flare.is_running():
        received = flare.receive()
        torch.manual_seed(flare.get_seed())
        if received.params:
            model.load_state_dict({name: torch.from_numpy(array) for name, array in received.params.items()})
        metrics = {"accuracy": evaluate(model, test_images, test_digits)}
        train(model, images, digits)
        params = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        flare.send(flare.FLModel(params=params, metrics=metrics, meta={"NUM_STEPS_CURRENT_ROUND": len(digits)}))


if __name__ == "__main__":
    main()
