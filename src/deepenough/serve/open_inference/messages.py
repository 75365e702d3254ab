"""The messages of the protocol, as JSON has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

Dimension = Annotated[StrictInt, Field(ge=0, lt=2**64)]
MOST_TENSORS = 16  # inputs or outputs that a request may name; a model here has one and two


class Tensor(BaseModel):
    """A tensor that a model takes or gives; -1 stands for any size."""

    name: str
    datatype: str
    shape: list[int]


class ServerMetadata(BaseModel):
    """The server."""

    name: Literal["deepenough"] = "deepenough"
    version: str
    extensions: list[str] = ["binary_tensor_data"]


class ModelMetadata(BaseModel):
    """A model: its name, what it runs on, its inputs and outputs."""

    name: str
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class InputParameters(BaseModel):
    """Parameters of an input; those that are not known are passed over."""

    binary_data_size: Annotated[StrictInt, Field(ge=0)] | None = None


class InputTensor(BaseModel):
    """An input: its data in JSON, or as so many bytes behind the JSON."""

    model_config = ConfigDict(strict=True)

    name: str
    shape: Annotated[list[Dimension], Field(max_length=8)]
    datatype: str
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = None


class OutputParameters(BaseModel):
    """Parameters of an output."""

    binary_data: StrictBool | None = None


class WantedOutput(BaseModel):
    """An output that is asked for."""

    model_config = ConfigDict(strict=True)

    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(BaseModel):
    """Parameters of a request."""

    binary_data_output: StrictBool = False


class InferenceRequest(BaseModel):
    """A request to a model."""

    model_config = ConfigDict(strict=True)

    id: str | None = None
    parameters: RequestParameters = RequestParameters()
    inputs: Annotated[list[InputTensor], Field(max_length=MOST_TENSORS)]
    outputs: Annotated[list[WantedOutput], Field(max_length=MOST_TENSORS)] = []
