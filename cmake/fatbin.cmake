# prony_add_fatbin(TARGET SOURCE.cu...) compiles CUDA kernels and puts them into TARGET as data, for
# the driver to load: nothing is linked with CUDA. For each NAME.cu, src/gpu/fatbin.h's
# FATBIN_DECLARE(NAME) tells C about it. Without nvcc (PRONY_NVCC is empty) the data is empty, which
# the program says when somebody asks for the GPU.
#
# One image holds machine code for Ampere (sm_80, sm_86), Ada (sm_89) and Hopper (sm_90a, with the
# instructions that no other card has), and PTX that the driver compiles for newer cards. In the
# source, __CUDA_ARCH_FEAT_SM90_ALL is defined for sm_90a alone.
set(PRONY_NVCC "" CACHE FILEPATH "nvcc that compiles the kernels; empty: build without CUDA")
set(PRONY_FATBIN_TARGETS
    -gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_86,code=sm_86
    -gencode=arch=compute_89,code=sm_89 -gencode=arch=compute_90a,code=sm_90a
    -gencode=arch=compute_89,code=compute_89)
set(PRONY_FATBIN_TEMPLATE ${CMAKE_CURRENT_LIST_DIR}/fatbin.c.in)

function(prony_add_fatbin target)
    foreach(source ${ARGN})
        cmake_path(ABSOLUTE_PATH source)
        cmake_path(GET source STEM name)
        set(image ${CMAKE_CURRENT_BINARY_DIR}/${name}.fatbin)
        set(none ${CMAKE_CURRENT_BINARY_DIR}/${name}.no-fatbin)
        if(PRONY_NVCC)
            file(REMOVE ${none})
            add_custom_command(OUTPUT ${image}
                COMMAND ${PRONY_NVCC} -fatbin -std=c++17 -O3 -ccbin g++ --threads 2
                    ${PRONY_FATBIN_TARGETS} -I${CMAKE_SOURCE_DIR}/src -MD -MF ${image}.d
                    -MT ${image} -o ${image} ${source}
                DEPENDS ${source} ${PRONY_NVCC} DEPFILE ${image}.d VERBATIM
                COMMENT "Compiling CUDA kernels ${name}.fatbin")
        else()
            # Under another name: ninja would take an empty image for one that it compiled.
            file(REMOVE ${image})
            set(image ${none})
            file(CONFIGURE OUTPUT ${image} CONTENT "" @ONLY)
        endif()
        configure_file(${PRONY_FATBIN_TEMPLATE} ${name}.fatbin.c @ONLY)
        set_source_files_properties(${CMAKE_CURRENT_BINARY_DIR}/${name}.fatbin.c PROPERTIES
            OBJECT_DEPENDS ${image})
        target_sources(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/${name}.fatbin.c)
    endforeach()
endfunction()
