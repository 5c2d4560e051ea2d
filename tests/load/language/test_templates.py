"""Templates: what stands in braces, what becomes of it in text and in JSON, what happens without a value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.load.plan import JsonValue
from osmia.load.templates import UnsetVariableError, compile_template, compile_value, is_json_text, names_in
from osmia.load.variables import Variables

SCOPE: dict[str, JsonValue] = {
    "text": 'a"b',
    "number": 7,
    "broken": 1.5,
    "yes": True,
    "none": None,
    "list": [1, "b"],
    "object": {"k": [1, 2]},
    "data.users.name": "ann",
}


def render(text: str, *, is_json: bool = False, leaves_unset: bool = False, seed: int = 1) -> str:
    """A template with the scope above."""
    template = compile_template(
        text, variables=Variables(seed), is_json=is_json, leaves_unset=leaves_unset, environ={"HOME": "/root"}
    )
    return template(SCOPE)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("/users/{{number}}", "/users/7"),
        ("{{ number }}{{\tnumber }}", "77"),
        ("{{text}}|{{broken}}|{{yes}}|{{none}}", 'a"b|1.5|true|null'),
        ("{{list}} {{object}}", '[1,"b"] {"k":[1,2]}'),
        ("{{data.users.name}}", "ann"),
        ("{{$HOME}}/x", "/root/x"),
        ("{x} {{}} {{#each}} {{a b}} {{{number}}} }}", "{x} {{}} {{#each}} {{a b}} {7} }}"),
        ("\\ ' \" \n {{number}} % {0} é", "\\ ' \" \n 7 % {0} é"),
        ("", ""),
    ],
)
def test_variables_become_text(text: str, rendered: str) -> None:
    """Values as they are; whatever is no variable stays."""
    assert render(text) == rendered


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ('{"a": "{{number}}"}', '{"a": 7}'),
        ('{"a": "{{ yes }}", "b": "{{none}}", "c": "{{broken}}"}', '{"a": true, "b": null, "c": 1.5}'),
        ('{"a": "{{object}}", "b": ["{{list}}"]}', '{"a": {"k":[1,2]}, "b": [[1,"b"]]}'),
        ('{"a": "{{text}}"}', '{"a": "a\\"b"}'),
        ('{"a": "x {{text}} {{number}}"}', '{"a": "x a\\"b 7"}'),
        ('{"a": "{{list}} "}', '{"a": "[1,\\"b\\"] "}'),
        ('{"{{number}}" : 1}', '{"7" : 1}'),
        ('{"a": "{{$HOME}}"}', '{"a": "/root"}'),
        ('"{{number}}"', "7"),
    ],
)
def test_in_json_a_string_that_is_a_variable_is_its_value(text: str, rendered: str) -> None:
    """Numbers, truths and structures lose the quotes; text is escaped; inside longer strings and keys all is text."""
    assert render(text, is_json=True) == rendered
    json.loads(rendered)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda one: st.lists(one, max_size=3)))
def test_any_value_leaves_json_json(value: JsonValue) -> None:
    """The value comes back as it was, alone and as text in a longer string."""
    template = compile_template('{"a": "{{x}}", "b": "<{{x}}>"}', variables=Variables(1), is_json=True)

    found = json.loads(template({"x": value}))

    assert found["a"] == value
    assert not isinstance(value, str) or found["b"] == f"<{value}>"


def test_dynamic_values_are_new_at_each_use() -> None:
    """In text and in JSON, numbers without quotes there."""
    one, other = render("{{_randomUUID}} {{_randomUUID}}").split()
    number = json.loads(render('{"a": "{{_randomInt}}"}', is_json=True))["a"]

    assert one != other
    assert 1 <= number <= 1000


def test_rand_draws_from_an_array() -> None:
    """Each element comes up; what is no array is said."""
    drawn = {render("{{rand( list )}}", seed=seed) for seed in range(50)}

    assert drawn == {"1", "b"}
    with pytest.raises(UnsetVariableError, match="no array"):
        render("{{rand(number)}}")
    with pytest.raises(UnsetVariableError, match="empty array"):
        compile_template("{{rand(x)}}", variables=Variables(1))({"x": []})


@pytest.mark.parametrize("name", ["nothing", "_randomNothing", "$NOTHING", "rand(nothing)", "data.users.age"])
def test_what_has_no_value_is_an_error_or_stays(name: str) -> None:
    """An error names it; in a body it stands as it was written, spaces and all."""
    text = f"a {{{{ {name} }}}} b"

    with pytest.raises(UnsetVariableError) as caught:
        render(text)

    assert caught.value.name in name
    assert render(text, leaves_unset=True) == text
    assert render(json.dumps({"a": text, "b": text[2:-2]}), is_json=True, leaves_unset=True) == json.dumps(
        {"a": text, "b": text[2:-2]}
    )


def test_text_without_variables_is_constant() -> None:
    """The same object each time: nothing is done."""
    template = compile_template("GET {x} \\", variables=Variables(1))

    assert template({}) is template({})


def test_names_are_found_in_their_order() -> None:
    """Without blanks, in the form that they are looked up."""
    text = "{{a}} {{ _b }} {{rand( l )}} {{$X}} {{data.a.b-c}} {{#x}} {{a}}"

    assert names_in(text) == ["a", "_b", "rand(l)", "$X", "data.a.b-c", "a"]
    assert names_in("plain") == []


def test_json_is_known_as_written() -> None:
    """Variables must stand in strings; a bare one makes it text."""
    assert is_json_text('{"a": "{{x}}"}')
    assert not is_json_text('{"a": {{x}}}')


def test_a_value_of_the_environment_keeps_the_type_of_its_only_variable() -> None:
    """A number stays one; with anything beside it, it is text."""

    def value(text: str) -> JsonValue:
        return compile_value(text, variables=Variables(1), environ={"HOME": "/root"})(SCOPE)

    assert value("{{object}}") == {"k": [1, 2]}
    assert isinstance(value("{{ _randomInt }}"), int)
    assert value("{{rand(list)}}") in (1, "b")
    assert value("{{number}} ") == "7 "
    assert value("{{$HOME}}") == "/root"
    assert value("plain") == "plain"
    with pytest.raises(UnsetVariableError):
        value("{{nothing}}")
